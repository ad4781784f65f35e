"""Loggers: the bytes that temperature loggers send, by way of their gateways and networks.

* `ruuvi`: a Ruuvi gateway in the vehicle. One advertisement a message, `data` is the BLE
  payload in hex with the manufacturer data 0x0499 in data format 5; time in whole seconds
  as text.
* `things-stack`: a LoRaWAN logger behind The Things Stack v3. One uplink a message, with the
  bytes of the logger (`frm_payload`) and what the network decoded of them; the time is that
  of the network, some 100 ms after the sample.
* `sparkplug`: an edge node of the vehicle (`device_sim.sparkplug`): births at the start of a
  trip, one DDATA a sample, death at its end. No JSON.
* `json`: a plain object with `device`, `time` and the three quantities.

Pure: no I/O, no clock, no randomness.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256

from device_sim import sparkplug
from device_sim.world import (
    MILLISECOND_US,
    SECOND_US,
    Message,
    Probe,
    Sample,
    Vehicle,
    format_time,
)

GROUP = "tagtrail"
METRICS = ("temperature", "humidity", "pressure")
_TX_POWER = (4 + 40) // 2  # +4 dBm; format 5 counts from -40 dBm in steps of 2
_BATTERY_FROM_MV = 1_600
_AIRTIME_US = 120 * MILLISECOND_US


def series_messages(series: Sequence[Sample]) -> list[Message]:
    """Return what is published for the samples of one trip, in order of time."""
    if not series:
        return []
    vehicle = series[0].vehicle
    if vehicle.probe == "sparkplug":
        return _sparkplug(vehicle, series)
    write = _WRITERS[vehicle.probe]
    return [write(vehicle, one) for one in series]


def ruuvi_advertisement(sample: Sample) -> bytes:
    """Return the BLE advertisement: flags, then manufacturer data 0x0499 in format 5."""
    power = (sample.battery_mv - _BATTERY_FROM_MV) << 5 | _TX_POWER
    fields = (
        b"\x05"
        + sample.temperature.to_bytes(2, "big", signed=True)
        + sample.humidity.to_bytes(2, "big")
        + sample.pressure.to_bytes(2, "big")
        + (12).to_bytes(2, "big", signed=True)
        + (-8).to_bytes(2, "big", signed=True)
        + (1_012).to_bytes(2, "big", signed=True)
        + power.to_bytes(2, "big")
        + b"\x2a"  # movement counter
        + sample.number.to_bytes(2, "big")
        + bytes.fromhex(sample.vehicle.logger.replace(":", ""))
    )
    manufacturer = b"\xff\x99\x04" + fields
    return b"\x02\x01\x06" + bytes([len(manufacturer)]) + manufacturer


def _ruuvi(vehicle: Vehicle, sample: Sample) -> Message:
    gateway = _gateway_mac(vehicle.name)
    seconds = str(sample.time_us // SECOND_US)
    body = {
        "gw_mac": gateway, "rssi": -40 - sample.number % 7, "aoa": [], "gwts": seconds,
        "ts": seconds, "data": ruuvi_advertisement(sample).hex().upper(), "coords": "",
    }  # fmt: skip
    topic = f"{vehicle.topic}/{gateway}/{vehicle.logger}"
    return Message(sample.time_us, topic, _dump(body))


def _things_stack(vehicle: Vehicle, sample: Sample) -> Message:
    """Return an uplink; its logger sends format 5's first seven bytes on port 2."""
    name = f"eui-{vehicle.device.lower()}"
    heard_us = sample.time_us + _AIRTIME_US
    raw = (
        sample.temperature.to_bytes(2, "big", signed=True)
        + sample.humidity.to_bytes(2, "big")
        + sample.pressure.to_bytes(2, "big")
    )
    body = {
        "end_device_ids": {
            "device_id": name, "application_ids": {"application_id": "cold-chain"},
            "dev_eui": vehicle.device, "join_eui": "70B3D57ED0000000",
            "dev_addr": sha256(name.encode()).hexdigest()[:8].upper(),
        },
        "correlation_ids": [f"gs:uplink:{sample.number}"],
        "received_at": _nanos(heard_us + 200 * MILLISECOND_US),
        "uplink_message": {
            "f_port": 2, "f_cnt": sample.number, "frm_payload": b64encode(raw).decode(),
            "decoded_payload": {
                "temperature": sample.celsius, "humidity": sample.humidity / 400,
                "pressure": 50_000 + sample.pressure, "battery": sample.battery_mv / 1000,
            },
            "rx_metadata": [{
                "gateway_ids": {"gateway_id": f"road-{sample.number % 5}"},
                "rssi": -97 - sample.number % 11, "snr": 7.5,
            }],
            "settings": {
                "data_rate": {"lora": {"bandwidth": 125_000, "spreading_factor": 7}},
                "frequency": "867300000",
            },
            "received_at": _nanos(sample.time_us),
        },
    }  # fmt: skip
    topic = f"{vehicle.topic}/v3/cold-chain@ttn/devices/{name}/up"
    return Message(heard_us, topic, _dump(body))


def _json(vehicle: Vehicle, sample: Sample) -> Message:
    body = {
        "device": vehicle.device, "time": format_time(sample.time_us),
        "temperature": sample.celsius, "humidity": sample.humidity / 400,
        "pressure": 50_000 + sample.pressure,
    }  # fmt: skip
    return Message(sample.time_us, f"{vehicle.topic}/{vehicle.device}", _dump(body))


def _sparkplug(vehicle: Vehicle, series: Sequence[Sample]) -> list[Message]:
    node = vehicle.name
    session = series[0].time_us // SECOND_US % 256

    def topic(kind: str) -> str:
        own = "" if kind.startswith("N") else f"/{vehicle.device}"
        return f"{sparkplug.NAMESPACE}/{GROUP}/{kind}/{node}{own}"

    first_us = series[0].time_us
    node_birth, device_birth = sparkplug.births(
        first_us // MILLISECOND_US, session, METRICS, _values(series[0])
    )
    messages = [
        Message(first_us, topic("NBIRTH"), node_birth),
        Message(first_us, topic("DBIRTH"), device_birth),
    ]
    messages += [
        Message(
            one.time_us,
            topic("DDATA"),
            sparkplug.data(one.time_us // MILLISECOND_US, _values(one), seq),
        )
        for seq, one in enumerate(series[1:], start=2)
    ]
    end_us = series[-1].time_us + SECOND_US
    gone = sparkplug.death(end_us // MILLISECOND_US, session)
    return [*messages, Message(end_us, topic("NDEATH"), gone)]


def _values(sample: Sample) -> tuple[float, float, float]:
    return sample.celsius, sample.humidity / 400, 50_000.0 + sample.pressure


_WRITERS: dict[Probe, Callable[[Vehicle, Sample], Message]] = {
    "ruuvi": _ruuvi,
    "things-stack": _things_stack,
    "json": _json,
}


def _gateway_mac(name: str) -> str:
    return "C8:25:2D:" + sha256(name.encode()).digest()[:3].hex(":").upper()


def _nanos(time_us: int) -> str:
    return f"{format_time(time_us)[:19]}.{time_us % SECOND_US:06d}000Z"


def _dump(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
