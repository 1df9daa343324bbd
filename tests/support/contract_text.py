"""Contracts of numbers in TOML, as tests of several rooms write them."""

Range = tuple[float, float, float]
"""Minimum, maximum and example of a number."""


def head(model: str, api_version: str = "v1", **numbers: Range) -> str:
    """A contract up to its output, with a feature for each of `numbers`."""
    features = (
        f'[features.{name}]\ntype = "number"\nminimum = {minimum}\nmaximum = {maximum}\nexample = {example}\n'
        for name, (minimum, maximum, example) in numbers.items()
    )
    return f'\nformat = 1\nmodel = "{model}"\napi_version = "{api_version}"\n' + "".join(features)


def pair_head(model: str = "pair", api_version: str = "v1") -> str:
    """The same for an estimator of two numbers."""
    return head(model, api_version, width=(-4, 4, 0.5), height=(-4, 4, -1.5))


def pair_contract(model: str = "pair", api_version: str = "v1") -> str:
    """Whole, for a classifier of the classes 0 and 1."""
    output = '[output]\ntask = "classification"\nlabels = [{class = 0, name = "low"}, {class = 1, name = "high"}]\n'
    return pair_head(model, api_version) + output
