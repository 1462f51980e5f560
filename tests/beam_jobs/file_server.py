"""A web server on this machine, by aiohttp, that serves files and can misbehave."""

import asyncio
import threading

from aiohttp import web


class FileServer:
    """Serves a folder; `requests` holds the Range header of every request."""

    def __init__(self, folder):
        self.folder = folder
        self.ranges = []
        self.break_after = []
        self.supports_ranges = True
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"

    def _serve(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())

    async def _start(self):
        app = web.Application()
        app.router.add_get("/{name}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self._started.set()

    async def _answer(self, request):
        self.ranges.append(request.headers.get("Range"))
        path = self.folder / request.match_info["name"]
        if not path.exists():
            raise web.HTTPNotFound
        if self.break_after:
            return await self._break_off(request, path, self.break_after.pop(0))
        if self.supports_ranges:
            return web.FileResponse(path)
        return web.Response(body=path.read_bytes())

    async def _break_off(self, request, path, count):
        """Sends some bytes of those asked for, and closes the connection."""
        content = path.read_bytes()
        start = int((request.headers.get("Range") or "bytes=0-")[6:-1])
        response = web.StreamResponse(status=206 if start else 200)
        response.headers["ETag"] = await self._etag(request, path)
        response.headers["Content-Length"] = str(len(content) - start)
        if start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            response.headers["Content-Range"] = span
        await response.prepare(request)
        await response.write(content[start : start + count])
        request.transport.close()
        return response

    async def _etag(self, request, path):
        status = path.stat()  # as aiohttp's FileResponse makes it
        return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
