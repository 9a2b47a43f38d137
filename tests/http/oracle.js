// SPDX-License-Identifier: MIT
// What Node's parser makes of each connection: a line of JSON for each, when it has ended.
// The server has its defaults; what is listened to besides only tells.
"use strict";
const http = require("node:http");

const views = new WeakMap();

function listen(request, response)
{
    const view = views.get(request.socket);
    const pieces = [];
    request.on("data", piece => pieces.push(piece));
    request.on("end", () => {
        view.requests.push([request.method, request.url, request.headers.host ?? "",
            Buffer.concat(pieces).toString("latin1")]);
        response.end();
    });
}

const server = http.createServer(listen);
server.on("checkExpectation", listen);
server.on("connection", socket => {
    const view = {client: socket.remoteAddress, requests: [], errors: [], isRead: false};
    views.set(socket, view);
    socket.on("end", () => view.isRead = true);
    socket.on("close", () => console.log(JSON.stringify(view)));
});
server.on("clientError", (error, socket) => {
    views.get(socket).errors.push(error.code);
    if (socket.writable)
        socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    else
        socket.destroy();
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
