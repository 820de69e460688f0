"""Devices, one file each, chosen by the name in the configuration (`drivers.registry`).

- `drivers.base`          what a line, a relay and a reader must do; the errors they raise
- `drivers.relay`         the relay over any line: every pulse ends by itself (promise P1)
- `drivers.relay_gpio`    a relay's line on a GPIO pin (the only importer of gpiozero)
- `drivers.reader_serial` a scanner on a serial line (the only importer of pyserial); `drivers.framing` cuts its bytes into scans
- `drivers.fake`          a line and a reader that record what happens, for the demo, tests and training
"""
