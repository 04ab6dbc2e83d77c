"""The training core: functions and dataclasses on arrays, without files, clocks or terminals."""
