"""What of the system programs in a sandbox see, whichever sandbox it is."""

from pathlib import Path

# Of the system, what programs need: no file with a secret. The rest of /etc may hold some.
ETC = (
    *("alternatives", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime"),
    "ssl/openssl.cnf",  # Node ends where it is there and cannot be read
)
ETC_OF_NETWORK = ("hosts", "nsswitch.conf", "resolv.conf", "ssl")
ROOTS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
# What TensorFlow and Chromium count cores by, and a GPU's devices and drivers.
READABLE = ("/sys/devices/system/cpu", "/sys/dev", "/sys/class/drm", "/sys/devices/pci0000:00")
DEVICES = ("/dev/dri", "/dev/kfd", *map(str, Path("/dev").glob("nvidia*")))
