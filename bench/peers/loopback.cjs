// The Portkey gateway listens on every address of the machine, and has no option for it. A benchmark
// listens on loopback alone.
const { Server } = require('node:net');
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
  return typeof port === 'object'
    ? listen.call(this, { ...port, host: '127.0.0.1' }, ...rest)
    : listen.call(this, port, '127.0.0.1', ...rest.filter((r) => typeof r === 'function'));
};
