"""Pure ASGI around every call, outermost first in app.py."""
