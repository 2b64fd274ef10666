// Measures a Kafka broker with the ledger's client settings and nothing else of the ledger:
//   broker_bench trips BROKERS TOPIC SECONDS [PARTITIONS = 1]
//     records of an event's size, from the producer's call until the consumer has them: one at a
//     time, then 64 at a time. TOPIC is made with so many partitions. The consumer follows all of
//     them, as a node does; 64 records in a row go to one, as the ledger's new streams do.
//   broker_bench watch BROKERS TOPIC SECONDS
//     follows a topic of the ledger from its end on; how old its events are when they come.

#include "events/log/kafka/client.hpp"
#include "events/log/kafka_record.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/log_writers.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace runledger;
using std::chrono::milliseconds;
using steady = std::chrono::steady_clock;

volatile std::sig_atomic_t interrupted = 0;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "broker_bench: %s\n", why.c_str());
  std::exit(1);
}

template <class T, class E>
T need(result<T, E> got) {
  if (!got)
    fail(got.error().message);
  return *std::move(got);
}

struct samples {
  std::vector<double> ms;
  double at(double share) {
    if (ms.empty())
      fail("nothing came");
    std::ranges::sort(ms);
    return ms[static_cast<std::size_t>(share * static_cast<double>(ms.size() - 1))];
  }
};

double ms_between(steady::time_point from, steady::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

/// A producer and a consumer of a topic.
class loop {
public:
  loop(const std::string& brokers, const std::string& topic, int partitions) {
    for (int p = 0; p < partitions; ++p)
      partitions_.push_back({topic, p});
    writer_ = need(kafka::producer::open(
        {brokers}, [](void*, bool, const kafka::error& why) { fail(why.message); }));
    reader_ = need(kafka::consumer::open({brokers}));
    std::vector<kafka::consumer::place> places;
    for (const auto& one : partitions_)
      places.push_back({one, 0});
    if (!reader_->assign(places))
      fail("the topic cannot be read");
    writer_->prepare({topic}, milliseconds{10'000});
  }

  /// Keeps `outstanding` records between producer and consumer for so long. One round trip each.
  samples run(std::size_t outstanding, double seconds) {
    test::stream_maker maker{test::session_name(1), 1};
    const auto event = maker.next("\"" + std::string(200, 'x') + "\"");
    const auto record = codec_.write(*event);
    std::vector<steady::time_point> sent;
    samples out;
    const auto until = steady::now() + std::chrono::duration<double>(seconds);
    while (out.ms.size() < sent.size() || steady::now() < until) {
      while (sent.size() - out.ms.size() < outstanding && steady::now() < until) {
        sent.push_back(steady::now());
        const auto& where = partitions_[sent_++ / in_a_row % partitions_.size()];
        if (!writer_->send(where, record, nullptr))
          fail("the producer takes no record");
      }
      const auto got = reader_->poll(milliseconds{5000});
      if (!got)
        fail("no record came back within 5 s");
      if (got.is_record())
        out.ms.push_back(ms_between(sent[out.ms.size()], steady::now()));
    }
    return out;
  }

private:
  static constexpr std::size_t in_a_row = 64;
  std::vector<kafka::raw_partition> partitions_;
  std::size_t sent_ = 0;
  kafka::record_writer codec_;
  std::unique_ptr<kafka::producer> writer_;
  std::unique_ptr<kafka::consumer> reader_;
};

void measure_trips(const std::string& brokers, const std::string& topic, double seconds,
                   int partitions) {
  if (const auto why = test::create_kafka_topic(brokers, topic, partitions); !why.empty())
    fail(topic + ": " + why);
  loop both{brokers, topic, partitions};
  both.run(1, 0.5); // What is cold.
  auto one = both.run(1, seconds);
  std::printf("one at a time: p50 %.4f ms p99 %.4f ms\n", one.at(0.5), one.at(0.99));
  both.run(64, 0.5);
  auto many = both.run(64, seconds);
  std::printf("64 at a time: %.0f records/s p50 %.4f ms p99 %.4f ms\n",
              static_cast<double>(many.ms.size()) / seconds, many.at(0.5), many.at(0.99));
}

void watch(const std::string& brokers, const std::string& topic, double seconds) {
  auto reader = need(kafka::consumer::open({brokers}));
  const auto known = need(reader->describe(milliseconds{10'000}));
  const auto* found = known.find(topic);
  if (found == nullptr)
    fail("there is no topic " + topic);
  std::vector<kafka::raw_partition> partitions;
  for (const auto& each : found->partitions)
    partitions.push_back({topic, each.id});
  const auto ends = need(reader->ends(partitions, milliseconds{10'000}));
  std::vector<kafka::consumer::place> places;
  for (std::size_t i = 0; i < partitions.size(); ++i)
    places.push_back({partitions[i], ends[i]});
  if (!reader->assign(places))
    fail("the topic cannot be read");
  std::printf("watching\n");
  std::fflush(stdout);
  samples age;
  std::vector<kafka::header_view> headers;
  system_wall_clock clock;
  const auto until = steady::now() + std::chrono::duration<double>(seconds);
  while (steady::now() < until && interrupted == 0) {
    const auto got = reader->poll(milliseconds{20});
    if (!got.is_record())
      continue;
    if (const auto event = kafka::decode(got.content(headers)))
      age.ms.push_back(static_cast<double>(to_ms(clock.now()) - to_ms(event->event->event.time)));
  }
  std::printf("%zu events: p50 %.1f ms p99 %.1f ms\n", age.ms.size(), age.at(0.5), age.at(0.99));
}

} // namespace

int main(int argc, char** argv) {
  const std::string verb = argc == 5 || argc == 6 ? argv[1] : "";
  const int partitions = argc == 6 ? std::atoi(argv[5]) : 1;
  if ((verb != "trips" && (verb != "watch" || argc == 6)) || partitions < 1) {
    std::fprintf(stderr, "usage: broker_bench trips BROKERS TOPIC SECONDS [PARTITIONS]\n"
                         "       broker_bench watch BROKERS TOPIC SECONDS\n");
    return 2;
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  const double seconds = std::atof(argv[4]);
  if (verb == "trips")
    measure_trips(argv[2], argv[3], seconds, partitions);
  else
    watch(argv[2], argv[3], seconds);
}
