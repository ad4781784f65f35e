"""Reads the body of a request, and no more of it than is taken."""

from fastapi import Request

from ledger.api.problems import TOO_LARGE, ProblemError


async def read_body(request: Request, bytes_max: int) -> bytes:
    """Return the body, refused as soon as it is longer than `bytes_max`."""
    too_large = ProblemError(TOO_LARGE, f"a body holds at most {bytes_max} bytes")
    claimed = request.headers.get("content-length", "")
    if claimed.isdigit() and int(claimed) > bytes_max:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > bytes_max:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)
