"""A bare FastAPI `async def` route that answers the JSON that it was sent: no model, no validation, no security."""

from typing import Any

from fastapi import FastAPI

app = FastAPI()


@app.post("/predict")
async def predict(row: dict[str, Any]) -> dict[str, Any]:
    return row
