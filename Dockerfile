# Greenlane in a container: the server by default, the proof and Locust by another command.
# The base needs Python 3.11 or newer with venv; the final image has no compiler.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/greenlane
COPY requirements.txt .
RUN /opt/greenlane/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY server server
COPY loadtest loadtest
RUN /opt/greenlane/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${BASE}
COPY --from=build /opt/greenlane /opt/greenlane
COPY loadtest/locustfile.py /opt/greenlane/locustfile.py
ENV PATH=/opt/greenlane/bin:$PATH PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
EXPOSE 8000
# Without proxies: those of a Docker client's settings are in every container's environment.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/healthz', timeout=2)"]
# As a list, so that SIGTERM reaches the server, which then drains.
CMD ["greenlane", "run", "--host", "0.0.0.0", "--allow-remote"]
