"""The kinds of notices that tell of an endpoint."""

DEPRECATED = "endpoint.deprecated"
SUNSET_CHANGED = "endpoint.sunset_changed"
EXTENDED = "endpoint.extended"
UNDEPRECATED = "endpoint.undeprecated"
RETIRED = "endpoint.retired"
SUNSET_NEAR = "endpoint.sunset_near"
BROWNOUT = "endpoint.brownout"
BROWNOUT_CANCELLED = "endpoint.brownout_cancelled"
ALL_KINDS = (DEPRECATED, SUNSET_CHANGED, EXTENDED, UNDEPRECATED, RETIRED, SUNSET_NEAR, BROWNOUT, BROWNOUT_CANCELLED)
