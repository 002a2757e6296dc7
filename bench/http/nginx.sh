#!/bin/sh
# "Hello, World!" from nginx: one process that serves, in the foreground, on a free port; it says which.
folder="$(mktemp -d)"
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
cat >"$folder/nginx.conf" <<CONF
daemon off; master_process off; pid $folder/pid; error_log /dev/null;
events { worker_connections 2048; }
http {
  access_log off; keepalive_requests 1000000000; default_type text/plain;
  client_body_temp_path $folder/b; proxy_temp_path $folder/p; fastcgi_temp_path $folder/f;
  uwsgi_temp_path $folder/u; scgi_temp_path $folder/s;
  server { listen 127.0.0.1:$port backlog=1024; location / { return 200 "Hello, World!"; } }
}
CONF
(sleep 5; rm -rf "$folder") >/dev/null &  # it has read its configuration by then
echo "listening http://127.0.0.1:$port"
PATH="$PATH:/usr/sbin" exec nginx -p "$folder" -c "$folder/nginx.conf"
