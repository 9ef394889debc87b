threads 5, 5
environment "production"
# The inherited sockets are the only ones: no address to repeat here.
bind_to_activated_sockets "only"
# With the reactor puma closes, when it stops, connections that it has accepted and whose request has not arrived yet.
queue_requests false
# A graceful stop is exit code 0, not death by SIGTERM.
raise_exception_on_sigterm false
