# The same image around a binary that was built outside, for machines that reach no registry. The
# build context is a folder with the static Linux binary `etude` and an empty folder `data`:
#
#   CGO_ENABLED=0 GOOS=linux go build -o ctx/etude . && mkdir ctx/data
#   docker build -f deploy/prebuilt.Dockerfile -t etude:local ctx

FROM scratch
COPY --chown=65532:65532 . /
USER 65532:65532
ENTRYPOINT ["/etude"]
