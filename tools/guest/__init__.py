# SPDX-License-Identifier: Apache-2.0
"""The virtual machine behind tools/vm: a stock Debian kernel (packages.py), a small initramfs (initramfs.py, boot,
start) and the emulator that runs both (machine.py)."""


class VmError(Exception):
    """The machine could not be made or did not do its work; the text says why and what to do."""
