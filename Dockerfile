# One image for every process of docker-compose.yml; the command says which.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

COPY requirements.txt .
RUN pip install --require-hashes -r requirements.txt

# New volumes take over the owner of what they are mounted on.
RUN useradd --system --uid 10001 --home-dir /data riskportal && install -d -o riskportal /data /metrics
COPY . .
# Compiled here, since the user that runs it may not write. Static files are gathered without any secret of production.
RUN python -m compileall -q . \
    && RISK_DATA_DIR=/tmp/build RISK_DEBUG=true python manage.py collectstatic --no-input \
    && rm -rf /tmp/build

USER riskportal
ENV RISK_DATA_DIR=/data RISK_HOST=0.0.0.0
VOLUME /data
CMD ["python", "-m", "riskportal.serve", "web"]
