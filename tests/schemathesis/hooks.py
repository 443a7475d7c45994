"""What schemathesis cannot know of the document, each with its reason."""

import json

import schemathesis

LINES = "application/x-ndjson"
BATCH = "application/cloudevents-batch+json"
BINARY = {"ce-specversion": "1.0", "ce-source": "/schemathesis", "ce-type": "retail.invoice.line"}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    events = raw_schema["paths"]["/v1/events"]["post"]["requestBody"]["content"]
    # OpenAPI 3.1 has no word for items one after the other; the document has `x-item-schema`.
    events[LINES] = {"schema": {"type": "array", "minItems": 1, "items": events[LINES]["x-item-schema"]}}
    # Nothing at all is no event, and an array of nothing has no answers to look at.
    events[BATCH]["schema"]["minItems"] = 1
    # The server of this test asks nobody who they are, so whoever acts says it.
    for act in ("Promote", "Demote", "Withdraw", "Erasure", "BacktestRequest"):
        schema = raw_schema["components"]["schemas"][act]
        schema["required"] = [*schema.get("required", []), "by"]
    # An answer that goes on until the server stops cannot be waited for; nor can one at a rate,
    # which comes as server-sent events only.
    verdicts = raw_schema["paths"]["/v1/verdicts"]["get"]
    verdicts["parameters"] = [one for one in verdicts["parameters"] if one["name"] not in ("follow", "rate")]


@schemathesis.serializer(LINES)
def lines(ctx, value):
    items = value if isinstance(value, list) else [value]
    return "".join(json.dumps(item) + "\n" for item in items).encode()


@schemathesis.hook
def before_call(context, case, kwargs):
    # Binary mode: the attributes are in headers, of which a type of body cannot say so.
    if case.path == "/v1/events" and case.media_type == "application/json":
        case.headers.update(BINARY | {"ce-id": str(id(case))})


@schemathesis.hook
def filter_failure(context, failure, case, response):
    kind = type(failure).__name__
    # Of an array and of lines each item is answered by itself, so that one that is no event
    # does not have the whole refused.
    if kind == "AcceptedNegativeData" and case.media_type in (BATCH, LINES):
        return False
    # What came before has this id. An array and lines say so of the item.
    if kind == "RejectedPositiveData" and "id-reused" in response.text:
        return False
    return True
