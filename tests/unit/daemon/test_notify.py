import os
import socket

from culvert.daemon.notify import ServiceManager


def test_the_service_manager_hears_of_each_state(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        manager = ServiceManager.of_environment()
        assert "NOTIFY_SOCKET" not in os.environ
        manager.ready()
        assert listener.recv(1024).startswith(b"READY=1")
        manager.reloading(5_000_000)
        assert listener.recv(1024) == b"RELOADING=1\nMONOTONIC_USEC=5000"
        manager.stopping()
        assert listener.recv(1024) == b"STOPPING=1"


def test_without_one_nothing_happens(tmp_path):
    ServiceManager(None).ready()
    ServiceManager(str(tmp_path / "nobody")).ready()
