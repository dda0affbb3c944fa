"""What stands between a stack and who watches it. Law: a tracer that fails is named, and nothing of the stack is lost to it."""

import asyncio

from userstack.trace import Event, Tracer


def guarded(tracer: Tracer) -> Tracer:
    """``tracer``, whose errors go to the exception handler of the running loop, under its own name, and no further."""
    loop = asyncio.get_running_loop()
    name = getattr(tracer, "__qualname__", None) or repr(tracer)

    def tell(event: Event) -> None:
        try:
            tracer(event)
        except Exception as error:
            message = f"userstack: the tracer {name} failed at a {type(event).__name__}"
            loop.call_exception_handler({"message": message, "exception": error})

    return tell
