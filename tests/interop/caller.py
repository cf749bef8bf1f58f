"""Calls Chancery with grpcio, as somebody who has the protocol files and nothing else
of it. Reads one JSON object with the calls to make, prints one with the answers.

    {"endpoint": "host:port", "root": PEM file, "certificate": PEM file or null,
     "key": PEM file or null, "proto": directory,
     "calls": [{"method": "chancery.v1.TokenService.Mint", "request": {...}}, ...]}
"""

import json
import pathlib
import ssl
import sys
import tempfile
import urllib.error
import urllib.request

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_tools import protoc

DEADLINE_SECONDS = 20


def read(path):
    return pathlib.Path(path).read_bytes() if path else None


def compile_protocol(directory):
    """The protocol as `protoc` understands it, without generated code."""
    files = sorted(pathlib.Path(directory, "chancery/v1").glob("*.proto"))
    with tempfile.NamedTemporaryFile() as output:
        well_known = pathlib.Path(protoc.__file__).parent / "_proto"
        arguments = ["protoc", f"-I{directory}", f"-I{well_known}", "--include_imports",
                     f"--descriptor_set_out={output.name}"]
        if protoc.main(arguments + [str(file) for file in files]) != 0:
            raise SystemExit("the protocol does not compile")
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(read(output.name))
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    return pool, [
        f"{file.package}.{service.name}.{method.name}"
        for file in descriptors.file
        for service in file.service
        for method in service.method
        if not method.server_streaming
    ]


def call(channel, pool, name, fields):
    method = pool.FindMethodByName(name)
    request = json_format.ParseDict(fields, message_factory.GetMessageClass(method.input_type)())
    answer = message_factory.GetMessageClass(method.output_type)
    path = f"/{method.containing_service.full_name}/{method.name}"
    stub = channel.unary_unary(
        path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    try:
        return {"answer": json_format.MessageToDict(stub(request, timeout=DEADLINE_SECONDS))}
    except grpc.RpcError as error:
        details = [key for key, _ in error.trailing_metadata() or []]
        return {"code": error.code().name, "details": error.details(),
                "rich": "grpc-status-details-bin" in details}


def health(channel):
    """grpc.health.v1.Health/Check of the whole server: field 1, value 1 is SERVING."""
    stub = channel.unary_unary("/grpc.health.v1.Health/Check")
    return "SERVING" if stub(b"", timeout=DEADLINE_SECONDS) == b"\x08\x01" else "NOT_SERVING"


def fetch(endpoint, root, path):
    """Status and body of an HTTPS request, without a client certificate."""
    trust = ssl.create_default_context(cafile=root)
    try:
        with urllib.request.urlopen(f"https://{endpoint}{path}", context=trust) as answer:
            return {"status": answer.status, "body": answer.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}


def main():
    order = json.load(sys.stdin)
    pool, methods = compile_protocol(order["proto"])
    credentials = grpc.ssl_channel_credentials(
        root_certificates=read(order["root"]),
        private_key=read(order["key"]),
        certificate_chain=read(order["certificate"]),
    )
    with grpc.secure_channel(order["endpoint"], credentials) as channel:
        answers = {
            "health": health(channel),
            "methods": methods,
            "calls": [call(channel, pool, each["method"], each["request"])
                      for each in order["calls"]],
            "every": {method: call(channel, pool, method, {}) for method in methods}
                     if order["certificate"] is None else {},
        }
    answers["jwks"] = fetch(order["endpoint"], order["root"], "/.well-known/jwks.json")
    answers["elsewhere"] = fetch(order["endpoint"], order["root"], "/metrics")
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
