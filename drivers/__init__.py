"""Devices, one file each, chosen by the name in the configuration (`drivers.registry`).

- `drivers.base`          what a relay and a reader must do; the errors they raise
- `drivers.relay_gpio`    a relay on a GPIO line (the only importer of gpiozero)
- `drivers.reader_serial` a scanner on a serial line (the only importer of pyserial)
- `drivers.fake`          a relay and a reader that record what happens, for the demo, tests and training
"""
