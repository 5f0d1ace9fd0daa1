"""Topics are created where they are missing."""

from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.topics import create, plan
from andon_monitor.settings.groups import KafkaSettings

from tests.fixtures.kafka_line import Line


def test_topics_are_made_once_and_left_as_they_are(servers: str, line: Line) -> None:
    settings = KafkaSettings()
    again = plan(line.frames, line.verdicts, line.letters, 7, settings, line.defects, line.labels)
    assert [new for _, new in create(parse_address(line.uri(line.frames)), again, settings)] == 5 * [False]
