# Stands in for the official redis image where none can be pulled; BASE is a Debian.
ARG BASE
FROM ${BASE}
RUN apt-get update -q && apt-get install -y -q --no-install-recommends redis-server
USER redis
CMD ["redis-server"]
