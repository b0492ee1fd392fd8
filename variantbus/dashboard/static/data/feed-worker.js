// The feed of all pages of this browser, in a worker that they share.

import { Hub } from "./hub.js";

const hub = new Hub(self.name.slice("variantbus feed".length));

self.addEventListener("connect", ({ ports: [port] }) => {
  port.onmessage = ({ data }) => hub.hear(port, data);
});
