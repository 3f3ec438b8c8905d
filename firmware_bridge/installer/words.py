"""What is said to installers: Chinese first, English with ``--lang en`` or KAIMEN_LANG=en.

Sentences that the bridge itself makes (a board's state, an error) are known here by their English form.
"""

from __future__ import annotations

import os
import re
from typing import Literal

Language = Literal["zh", "en"]

_chosen: Language = "zh"


def preferred() -> Language:
    """What KAIMEN_LANG says; Chinese where it says nothing."""
    return "en" if os.environ.get("KAIMEN_LANG", "").startswith("en") else "zh"


def choose(language: Language) -> None:
    """Speak ``language`` from now on."""
    global _chosen  # noqa: PLW0603  one program, one reader
    _chosen = language


def say(key: str, **values: object) -> str:
    """The sentence of ``key`` with ``values`` put in."""
    zh, en = _SENTENCES[key]
    return (zh if _chosen == "zh" else en).format(**values)


def told(detail: str) -> str:
    """A sentence of the bridge in the chosen language, or as it is where it is not known."""
    if _chosen == "en":
        return detail
    for pattern, zh in _DETAILS:
        detail = pattern.sub(zh, detail)
    return detail


_SENTENCES: dict[str, tuple[str, str]] = {
    "no_ports": (
        "没有找到串口。USB 转 485 插好了吗？",
        "No serial port was found. Is the USB adapter plugged in?",
    ),
    "port_denied": (
        "  当前用户没有权限打开；执行 sudo usermod -aG dialout $USER 后重新登录",
        "  this user may not open it: sudo usermod -aG dialout $USER, then log in again",
    ),
    "answers": (
        "{profile} 在 {port} 上以 {unit} 号应答",
        "{profile} answers as unit {unit} on {port}",
    ),
    "no_answer": ("设备没有应答：{detail}。", "The board does not answer: {detail}."),
    "refused": (
        "没有发出任何动作：{detail}。",
        "Nothing was commanded: {detail}.",
    ),
    "undecided": (
        "{port} 在 {seconds} 秒内没有说明设备在不在。",
        "{port} did not say in {seconds} s whether a board is there.",
    ),
    "on": ("通", "on"),
    "off": ("断", "off"),
    "pulse": ("第 {channel} 路脉冲 {ms} 毫秒", "pulse of {ms} ms on channel {channel}"),
    "switched": ("第 {channel} 路 {position}", "channel {channel} {position}"),
    "frames": ("  发 {tx}  收 {rx}", "  sent {tx}  got {rx}"),
    "nothing": ("无", "nothing"),
    "done": ("成功", "done"),
    "failed": ("失败", "failed"),
    "expired": ("超时未发", "expired"),
    "unknown": ("结果不明", "unknown"),
    "quality": (
        "线路质量：{sent} 次询问，{good} 次应答正确，{bad} 次乱码，{silent} 次无应答；应答中位 {ms} 毫秒",
        "line: {sent} questions, {good} answered, {bad} garbled, {silent} silent; median {ms} ms",
    ),
    "line_bad": (
        "线路不可靠：检查终端电阻、A/B 接线、公共地，远离动力线。",
        "The line is unreliable: check termination, A and B, common ground, and keep off mains cables.",
    ),
    "advice_silent": (
        "请依次检查：①设备通电（电源灯亮）②A、B 没有接反 ③地址和波特率（kaimen-bridge scan 会逐个找）"
        "④线没断。",
        "Check in turn: 1. the board has power; 2. A and B are not swapped; 3. number and speed"
        " (kaimen-bridge scan tries them all); 4. the cable is whole.",
    ),
    "advice_garbled": (
        "有信号但不成帧：①波特率或校验不对（用 scan 找）②两台设备地址相同 ③A/B 接反或缺公共地"
        " ④长线缺 120 Ω 终端。",
        "There is a signal but no frame: 1. wrong speed or parity (try scan); 2. two boards with one"
        " number; 3. A and B swapped or no common ground; 4. no 120 Ω at the ends of a long line.",
    ),
    "advice_other": (
        "线路通，但这个地址上不是所选型号：核对型号和地址。",
        "The line works, but this is not that model: check the model and the number.",
    ),
    "advice_port": (
        "这是电脑到转换器之间的问题，与设备无关。",
        "This is between computer and adapter; the board has no part in it.",
    ),
    "scanning": ("{setting} 地址 {unit}", "{setting} unit {unit}"),
    "found": (
        "{setting} 地址 {unit}：{what}（{ms} 毫秒）",
        "{setting} unit {unit}: {what} ({ms} ms)",
    ),
    "found_unknown": (
        "有设备应答，但不是已知型号",
        "a board answers, but it is none of the known models",
    ),
    "found_double": (
        "{setting} 地址 {unit}：两台设备地址相同！先断开一台，改掉另一台的地址",
        "{setting} unit {unit}: two boards have this number! Disconnect one and renumber the other",
    ),
    "found_noise": (
        "{setting} 地址 {unit}：有回应但不成帧，可能是别的波特率或两台同地址",
        "{setting} unit {unit}: bytes that make no frame, perhaps another speed or two boards",
    ),
    "found_none": (
        "没有找到设备（试了 {settings} 种线路设置、{units} 个地址）。",
        "No board was found ({settings} line settings, {units} numbers tried).",
    ),
    "next": ("下一步：{command}", "Next: {command}"),
    "listening": (
        "正在监听 {port}（只听不发），Ctrl-C 结束",
        "Listening on {port}, sending nothing; Ctrl-C ends it",
    ),
    "heard": (
        "共 {frames} 帧，{noise} 字节不成帧",
        "{frames} frames; {noise} bytes that make no frame",
    ),
    "heard_nothing": (
        "{seconds} 秒内没有听到任何字节：线上没有主站在问，或 A/B 没接上。",
        "Not a byte in {seconds} s: nobody asks on this line, or A and B are not connected.",
    ),
    "asks_read": (
        "问 {unit} 号：读{table} {first}–{last}",
        "asks {unit}: read {table} {first} to {last}",
    ),
    "asks_coil": ("令 {unit} 号：线圈 {address} = {word}", "tells {unit}: coil {address} = {word}"),
    "asks_register": (
        "令 {unit} 号：寄存器 {address} = {word}",
        "tells {unit}: register {address} = {word}",
    ),
    "asks_many": (
        "令 {unit} 号：从 {address} 起写 {count} 个{table}",
        "tells {unit}: write {count} {table} from {address}",
    ),
    "says_values": ("{unit} 号答：{values}", "{unit} answers: {values}"),
    "says_done": ("{unit} 号答：已收到", "{unit} answers: taken"),
    "says_refusal": ("{unit} 号拒绝：{why}", "{unit} refuses: {why}"),
    "line_heard": (
        "一行 {length} 字节（内容可能开门，不显示）",
        "a line of {length} bytes (it may open a door, so it is not shown)",
    ),
    "coil": ("线圈", "coils"),
    "discrete": ("输入", "inputs"),
    "holding": ("保持寄存器", "holding registers"),
    "input": ("输入寄存器", "input registers"),
    "exercise_begin": (
        "逐路试输出。请到能看见设备的地方；锁会真的打开，负载会真的通电。",
        "Each output is tried in turn. Stand where you can see it: locks do open, loads do get power.",
    ),
    "exercise_do": (
        "第 {channel} 路（{kind}），现在动作？",
        "Channel {channel} ({kind}): do it now?",
    ),
    "exercise_seen": (
        "第 {channel} 路动作对吗（y 对 / n 不对）？",
        "Did channel {channel} do the right thing?",
    ),
    "exercise_input": (
        "请触发第 {channel} 路输入（{seconds} 秒内）……",
        "Now trigger input {channel} (within {seconds} s) …",
    ),
    "exercise_changed": ("第 {channel} 路输入变化了", "input {channel} changed"),
    "exercise_same": ("第 {channel} 路输入没有变化", "input {channel} did not change"),
    "lock.pulse": ("锁", "lock"),
    "switch.set": ("通断", "switch"),
    "result_good": ("对", "good"),
    "result_bad": ("不对", "wrong"),
    "result_skipped": ("跳过", "skipped"),
    "summary": (
        "结果：{good} 路对，{bad} 路不对，{skipped} 路跳过",
        "{good} good, {bad} wrong, {skipped} skipped",
    ),
    "report_written": ("记录写在 {file}", "written to {file}"),
    "no_kind": (
        "没有“{kind}”这一类；有：{kinds}。",
        "There is no kind “{kind}”; there are {kinds}.",
    ),
    "none_serves": (
        "没有能做“{serves}”的型号{among}。",
        "No board serves “{serves}”{among}.",
    ),
    "among": ("（在“{kind}”这一类里）", " among {kind}"),
    "tried": ("验证：{verified}", "verified: {verified}"),
    "doc": ("照文档", "doc"),
    "bench": ("上过工作台", "bench"),
    "field": ("在店里用着", "field"),
    "profile_good": (
        "{file}：没问题，{points} 个点，{tests} 个测试",
        "{file}: good, {points} points, {tests} tests",
    ),
    "profile_there": (
        "{file} 已经有了，什么都没写。",
        "{file} is there already; nothing was written.",
    ),
    "profile_written": (
        "写好了 {file}。填上厂家给的数字，然后：kaimen-bridge profiles check {file}",
        "{file} is written. Put the maker's numbers in, then: kaimen-bridge profiles check {file}",
    ),
    "relay_board": ("继电器板", "Relay boards"),
    "io_board": ("带输入的板和传感器", "Boards and sensors with inputs"),
    "lock": ("锁", "Locks"),
    "lock_board": (
        "锁控板：柜子、球盘、球杆柜",
        "Lock boards: cabinets, ball trays, cue cupboards",
    ),
    "meter": ("电表", "Meters"),
    "climate_gateway": ("空调网关", "Air conditioner gateways"),
    "ir_sender": ("红外发射器", "Infrared senders"),
    "presence_sensor": ("人在传感器", "Presence"),
    "hazard_sensor": ("烟感和水浸", "Smoke and water"),
    "switched_outlet": ("受控电源：机麻、包间、灯", "Switched supplies: tables, rooms, lamps"),
    "code_scanner": ("扫码器", "Code scanners"),
    "card_reader": ("读卡器", "Card readers"),
    "keypad": ("密码键盘", "Keypads"),
    "speaker": ("喇叭", "Speakers"),
    "wiring": ("接线", "Wiring"),
    "wire_rtu": (
        "RS-485，A 接 A、B 接 B，一对线逐台串接；出厂为 {baud} 8{parity}{stop}，{unit} 号",
        "RS-485, A to A and B to B, one pair from board to board; {baud} 8{parity}{stop}"
        " as from the factory, unit {unit}",
    ),
    "wire_shared": (
        "可与波特率相同、号不同的设备共用一条线；接在网关后面时，端口写 tcp://主机:502 或 rtu+tcp://主机:端口",
        "Shares its line with boards of the same speed and other unit numbers; behind a gateway"
        " name the port tcp://host:502 or rtu+tcp://host:port",
    ),
    "wire_serial": (
        "独占一个串口；出厂为 {baud} 8{parity}{stop}",
        "Alone on a serial port of its own; {baud} 8{parity}{stop} as from the factory",
    ),
    "wire_tcp": (
        "接网线；端口写 {scheme}://主机:{port}",
        "Network cable; name the port {scheme}://host:{port}",
    ),
    "wire_http": (
        "在门店网络里；端口写它的地址，例如 {example}",
        "On the network; name the port by its address, such as {example}",
    ),
    "wire_mqtt": (
        "在门店网络里，设备指向门店自己的消息服务器；端口写这台服务器的地址",
        "On the network, set to the store's own broker; name the port by the broker's address",
    ),
    "wire_on": (
        "（{first} 至 {last} 路，按板上所印）",
        " on {first} to {last}, as printed on the board",
    ),
    "wire_offers": ("  {name}{where}：{meaning}", "  {name}{where}: {meaning}"),
    "wire_fail_open": (
        "  板子坏了门是开是关，取决于接的是哪种锁：两种情况都要想好。",
        "  What is wired to it decides whether a dead board leaves a door open or shut: plan for both.",
    ),
    "wire_fail_secure": (
        "  断电后锁从外面仍然关着。",
        "  Without power the lock stays shut from outside.",
    ),
    "wire_fail_safe": ("  断电后锁会松开。", "  Without power the lock lets go."),
    "wire_egress": (
        "  出门靠硬件：把手，或接在锁电源上的出门按钮。",
        "  The way out is hardware: a handle, or a button in the lock's own supply.",
    ),
    "wire_back_off": ("  来电后是断开的。", "  After a power cut it comes back off."),
    "wire_back_last": (
        "  来电后恢复断电前的状态。",
        "  After a power cut it comes back as it was before.",
    ),
    "wire_param": ("  参数 {name}：{what}（{needed}）", "  Parameter {name}: {what} ({needed})"),
    "wire_needed": ("必须填写", "must be given"),
    "wire_default": ("不填则为 {value}", "if not given {value}"),
    "wire_note": ("  注意：{text}", "  Note: {text}"),
    "wire_source": ("  出处：{source}", "  Source: {source}"),
    "means.lock.pulse": (
        "让锁松开 duration_ms 毫秒，再锁回",
        "let the lock go for duration_ms, then hold again",
    ),
    "means.lock.state": ("true：锁舌已伸出", "true: the bolt is thrown"),
    "means.door.contact": (
        "true：门磁闭合，门关着",
        "true: the contact is closed, the door is shut",
    ),
    "means.switch.set": ("true：电路接通", "true: the circuit is on"),
    "means.power.w": ("此刻的有功功率", "active power drawn now"),
    "means.energy.wh": ("电表出厂以来的电量", "energy counted since the meter was made"),
    "means.climate.set": (
        "设定的温度，设备支持时还有模式和风速；开关机用 switch.set",
        "the temperature that is aimed at, with mode and fan speed where the device takes them;"
        " switching on and off is switch.set",
    ),
    "means.input.code": ("扫到了一个码", "a code was scanned"),
    "means.input.card": ("读到了一张卡", "a card was read"),
    "means.speaker.say": ("播放固定清单里的一段", "play a clip of the closed list"),
    "means.light.scene": ("按名称切换灯光场景", "a named light scene"),
    "means.presence": ("true：有人", "true: somebody is there"),
    "means.hazard": (
        "true：烟、火或水；所有门锁都会打开",
        "true: smoke, fire or water; every lock opens",
    ),
    "drift": (
        "  设置不符：{what} 现为 {found}，应为 {wanted}",
        "  set otherwise: {what} is {found}, should be {wanted}",
    ),
}

_DETAILS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), zh)
    for pattern, zh in (
        (r"^no answer$", "没有回应"),
        (r"^other frames came, no answer$", "只收到别的设备的帧"),
        (
            r"^bytes came that make no frame \(noise, wrong speed or wiring\)",
            "收到的字节不成帧（干扰、波特率不对或接线问题）",
        ),
        (
            r"; the others on this line answer well, so two boards may have number (\d+), or its own"
            r" wires are loose$",
            r"；同线的其他设备正常，可能有两台设备都是 \1 号，或它自己的线松了",
        ),
        (
            r"^two boards answer as unit (\d+) on (\S+), and both would obey: .*$",
            r"\2 上有两台设备都以 \1 号应答，命令会同时作用于两台：请改掉其中一台的地址",
        ),
        (r"^the adapter echoes what it sends; switch its echo off$", "转换器有回显，请关闭其回显"),
        (
            r"^(\S+) is not there; plug the adapter in or correct the path$",
            r"\1 不存在；插上转换器或改正路径",
        ),
        (
            r"^(\S+) is used by another program; stop that one first$",
            r"\1 正被别的程序占用；先停掉它（例如 kaimen-edge）",
        ),
        (
            r"^(\S+) may not be opened; add this user to the group dialout$",
            r"\1 没有权限打开；把当前用户加入 dialout 组",
        ),
        (r"^(\S+) was pulled out$", r"\1 被拔掉了"),
        (
            r"^(\S+) is not there; check power, network cable and address of the gateway$",
            r"\1 连不上；检查网关电源、网线和地址",
        ),
        (
            r"^(\S+) refuses: the gateway is there, its port number or mode is wrong$",
            r"\1 拒绝连接：网关在，端口号或工作模式不对",
        ),
        (
            r"^the gateway is there, the board behind it is not \(.*\)$",
            "网关在，它后面的设备没有回应",
        ),
        (r"^answered by the board$", "设备已应答"),
        (r"^read back$", "已读回确认"),
        (r"^answered by the board, not seen when read back$", "设备已应答，但读回没有看到"),
        (
            r"^the (.+) \(0x([0-9A-F]+)\) holds (\S+), not (.+?): ",
            r"\1（0x\2）是 \3，应为 \4：",
        ),
        (
            r"^the (.+) cannot be read \((.+)\): this is no (.+)$",
            r"读不到 \1（\2）：这不是 \3",
        ),
        (r"^the deadline passed before it was sent$", "到时仍未能发出，所以没有发"),
    )
)
