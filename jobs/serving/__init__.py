"""The online service: the models of the registry answered over REST.

run       starts the processes
protocol  HTTP, with a bound for headers, and an end
drain     the end of a process
app       the application and what runs beside the requests
service   what all routes share
routes    what is asked at which path, by protocol
openapi   the service described, and Swagger
requests  bytes → values → typed rows, and answers → bytes
access    API keys, and which addresses are listened on
routing   which model a user is answered by
request_log  what became of each request
watching  metrics, and lines in the log
models    what answers: versions, loaded at first use and followed in the registry
"""
