"""docs/operations.md says what the memory of loaded models is reckoned by."""

from documents import ROOT

from gatehouse.serving.registry import MEMORY_EACH, MEMORY_FACTOR


def test_the_page_says_by_what_memory_is_reckoned() -> None:
    page = " ".join((ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split())
    onnx, sklearn = MEMORY_FACTOR["onnx"], MEMORY_FACTOR["sklearn"]

    assert (
        f"{MEMORY_EACH // 1024} KiB for each version, and the bytes of its artifact, times {onnx} for an ONNX graph and times {sklearn}"
        in page
    )
