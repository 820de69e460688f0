"""Devices, one file each, chosen by the name in the configuration (`drivers.registry`).

- `drivers.base`          what a line, a relay, an input, an indicator and a reader must do; the errors they raise
- `drivers.relay`         the relay over any line: every pulse ends by itself (promise P1), and fire releases
- `drivers.inputs`        what is watched: debounced, and told from one thread
- `drivers.indicator`     patterns for lamps and a buzzer over any lines
- `drivers.gpio`          driven and watched lines on GPIO pins (the only importer of gpiozero); `drivers.chardev`: the kernel's edges
- `drivers.reader_serial` a scanner on a serial line (the only importer of pyserial); `drivers.framing` cuts its bytes into scans
- `drivers.fake`          lines, inputs and a reader that record what happens, for the demo, tests and training
"""
