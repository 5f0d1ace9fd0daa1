"""Topics are created where they are missing."""

from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.topics import create, plan
from andon_monitor.settings.groups import KafkaSettings

from tests.fixtures.kafka_line import Line


def test_topics_are_made_once_and_left_as_they_are(servers: str, line: Line) -> None:
    settings = KafkaSettings()
    again = plan(line.frames, line.verdicts, line.letters, 7, settings, line.defects, line.labels)
    made = list(create(parse_address(line.uri(line.frames)), again, settings))
    assert [new for topic, new in made if not topic.name.startswith("andon.parts")] == 5 * [False]
    assert "partitions, compacted" in next(topic.describe() for topic, _ in made if topic.name == "andon.parts.state")
