"""Devices, one file each, chosen by the name in the configuration (`drivers.registry`).

- `drivers.base`          what a line, a relay, an input, an indicator and a reader must do; the errors they raise
- `drivers.relay`         the relay over any line: every pulse ends by itself (promise P1), and fire releases
- `drivers.inputs`        what is watched: debounced, and told from one thread
- `drivers.indicator`     patterns for lamps and a buzzer over any lines
- `drivers.gpio`          driven and watched lines on GPIO pins (the only importer of gpiozero); `drivers.chardev`: the kernel's edges
- `drivers.reader_serial` a scanner on a serial line; `drivers.framing` cuts its bytes into scans
- `drivers.serial_port`   opens serial ports (the only importer of pyserial)
- `drivers.reader_osdp`   a reader on an RS-485 bus: `osdp_bus` has the thread, which looks after one `osdp_station` for each reader
- `drivers.osdp_panel`    libosdp (its only importer), behind the sieve of `osdp_frames`; `osdp_show`: lamp and buzzer; `osdp_setup`: keys
- `drivers.fake`          lines, inputs and a reader that record what happens, for the demo, tests and training
"""
