"""What a failed run leaves behind: a short script, a diagram of it, and a capture with its keys."""

from __future__ import annotations

from pathlib import Path

from culvert.ike.endpoint import Endpoint
from culvert.sim import capture, diagram, script_text
from culvert.sim.play import Builder, Played, play
from culvert.sim.recording import Recorder
from culvert.sim.shrinking import shrink


def leave(directory: Path, played: Played, build: Builder = Endpoint) -> list[str]:
    """Shrink a failed run and write it down. Give lines that tell what is where."""
    shrinker = shrink(played, build)
    script, recorder = shrinker.script, Recorder()
    again = play(script, build, recorder)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "script.toml").write_text(f"# {again.failure}\n{script_text.write(script)}")
    drawn = diagram.Diagram(script.setting.names).lines(recorder.records)
    (directory / "diagram.txt").write_text("\n".join((*drawn, again.failure, "")))
    capture.write(directory, recorder.records, recorder.keys.values())
    steps = sum(len(one.steps) for one in script.rounds)
    return [
        f"{directory}/script.toml: {steps} steps and {len(script.fates)} unusual datagrams ({shrinker.runs} runs)",
        f"{directory}/diagram.txt: who said what when",
        f"{directory}/run.pcapng: with {capture.KEYS_FILE} in Wireshark's directory it is readable",
    ]
