#!/usr/bin/python3
"""Prints the events of a Runledger ledger in Kafka that count, one CloudEvent in JSON a line.

    ./consume.py --brokers 127.0.0.1:9092 [--prefix runledger] [--topics runs,...] [--until-end]

Reads every partition of the topics from its first record on, so that the rule of acceptance
(acceptance.py) knows all that came before; needs no consumer group. Debian: python3-confluent-kafka.
"""
import argparse, collections, sys
from confluent_kafka import (OFFSET_BEGINNING, Consumer, KafkaError, KafkaException,
                             TopicPartition)
from acceptance import Acceptance, Record, Skipped

TOPICS = "runs,workers,workspaces,catalog"
PATIENCE_SECONDS = 30


def partitions_of(consumer, topics):
    known = consumer.list_topics(timeout=PATIENCE_SECONDS).topics
    missing = [topic for topic in topics if topic not in known]
    if missing:
        sys.exit(f"there is no topic {', '.join(missing)}: start the server once, or see --prefix")
    return [TopicPartition(topic, number, OFFSET_BEGINNING)
            for topic in topics for number in known[topic].partitions]


def records(consumer, partitions, until_end):
    """Every record; with until_end none behind where each partition ends when it is reached."""
    consumer.assign(partitions)
    unfinished = {(each.topic, each.partition) for each in partitions}
    while unfinished or not until_end:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            unfinished.discard((message.topic(), message.partition()))
            continue
        yield Record(message.topic(), message.partition(), message.offset(), message.key(),
                     message.headers() or [], message.value())


def main():
    words = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--brokers", default="127.0.0.1:9092")
    words.add_argument("--prefix", default="runledger", help="of the topics (kafka.topic_prefix)")
    words.add_argument("--topics", default=TOPICS)
    words.add_argument("--until-end", action="store_true", help="stop at the end of all partitions")
    asked = words.parse_args()
    consumer = Consumer({
        "bootstrap.servers": asked.brokers, "group.id": "none", "enable.auto.commit": False,
        "enable.partition.eof": True, "check.crcs": True, "auto.offset.reset": "error"})
    partitions = partitions_of(consumer, [f"{asked.prefix}.{topic}"
                                          for topic in asked.topics.split(",")])
    accepting, skipped = Acceptance(), collections.Counter()
    for record in records(consumer, partitions, asked.until_end):
        try:
            print(accepting.take(record).to_json(), flush=not asked.until_end)
        except Skipped as why:
            skipped[str(why)] += 1
    consumer.close()
    for why, count in skipped.most_common():
        print(f"skipped {count}: {why}", file=sys.stderr)


if __name__ == "__main__":
    main()
