"""A substitute for Ray whose tasks run immediately in this process, so that the pool is tested without a cluster."""

import importlib.machinery
import types


class Reference:
    """A reference to a task: its answer, or the message of its death."""

    def __init__(self, answer):
        self.answer = answer


def fake_ray(nodes, *, connected=False):
    """The module; `calls` records calls to it, and `broken` has a message for each next task whose process must die.

    Args:
        nodes: the cluster's nodes, as ``ray.nodes()`` lists them.
        connected: whether this process is already connected to a cluster.
    """
    ray = types.ModuleType("ray")
    ray.__spec__ = importlib.machinery.ModuleSpec("ray", None)
    ray.exceptions = types.SimpleNamespace(RayError=type("RayError", (Exception,), {}))
    ray.calls, ray.broken, ray.late = {"cancelled": [], "shutdown": 0}, [], False

    def init(address, **options):
        ray.calls["init"] = (address, options)

    def remote(**options):
        ray.calls["remote"] = options

        def of(function):
            def start(*args):
                answer = function(*args)
                return Reference(ray.broken.pop(0) if ray.broken else answer)

            return types.SimpleNamespace(remote=start)

        return of

    def get(reference):
        if isinstance(reference.answer, str):
            raise ray.exceptions.RayError(reference.answer)
        return reference.answer

    def wait(references, *, num_returns=1, timeout=None):
        ray.calls["wait"] = (len(references), num_returns, timeout)
        return ([], references) if ray.late else (references[:1], references[1:])

    def shutdown():
        ray.calls["shutdown"] += 1

    def cancel(reference, *, force):
        ray.calls["cancelled"].append(force)

    ray.init, ray.remote, ray.get, ray.wait, ray.shutdown, ray.cancel = init, remote, get, wait, shutdown, cancel
    ray.nodes, ray.is_initialized = (lambda: nodes), (lambda: connected)
    return ray
