"""The use cases: asyncio around the core, the world through `ports`. Never a library by name."""
