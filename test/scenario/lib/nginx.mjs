// An nginx of the user's own with the gateway in it.
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export const NGINX = await ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/local/nginx/sbin/nginx', '/usr/bin/nginx']
  .reduce(async (found, path) => (await found) ?? access(path).then(() => path, () => null), null);

export const nginxConf = (house) => join(house.home, 'nginx.conf');

// Its configuration; `more` is more of the http block.
export async function writeNginxConf(house, port, workers, more = '') {
  await writeFile(nginxConf(house), `
include ${house.dir}/run/nginx-main.conf;
worker_processes ${workers};
daemon off;
pid ${house.home}/nginx.pid;
events {}
http {
    access_log off;
    include ${house.dir}/run/nginx-http.conf;
    server {
        listen 127.0.0.1:${port};
        include ${house.dir}/run/nginx-server.conf;
    }
${more}}
`);
}
