// A service in JavaScript, on npm's zeromq: upper.js ENDPOINT [hardened]. It turns requests to upper case.
//
// Weakness: libzmq says that there is something to read, and throws a request without a delimiter away (RFC 28); then
// receive() fails with EAGAIN, which nothing catches, and the program ends. `for await` ends of it in the same way.
// Hardened: EAGAIN is caught, and the next request waited for.
// Run: npm install zeromq; node upper.js ENDPOINT

"use strict"

const zmq = require("zeromq")

async function main(endpoint, hardened) {
  const socket = new zmq.Reply({ linger: 0, maxMessageSize: 65536 })
  await socket.bind(endpoint)
  for (;;) {
    let parts
    try {
      parts = await socket.receive()
    } catch (error) {
      if (hardened && error.code === "EAGAIN") continue
      throw error
    }
    await socket.send(parts[parts.length - 1].toString("latin1").toUpperCase())
  }
}

main(process.argv[2], process.argv[3] === "hardened")
