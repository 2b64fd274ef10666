#include "events/log/kafka/client.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <thread>

namespace runledger::kafka {

namespace {

using std::chrono::milliseconds;
constexpr milliseconds ask_again{50};

/// What the ledger's promises rest on, and why it is so.
struct kept_property {
  std::string_view name, why;
};
constexpr kept_property kept_properties[] = {
    {"acks", "an event is durable when all in-sync replicas have it"},
    {"allow.auto.create.topics", "the ledger's topics are made with what keeps events"},
    {"auto.offset.reset", "a ledger that lost records must be noticed"},
    {"bootstrap.servers", "it is `kafka.brokers`"},
    {"check.crcs", "a damaged record must be noticed"},
    {"compression.codec", "it is lz4"},
    {"compression.type", "it is lz4"},
    {"delivery.timeout.ms", "a record that times out is written twice"},
    {"enable.auto.commit", "the replica keeps its own position"},
    {"enable.auto.offset.store", "the replica keeps its own position"},
    {"enable.gapless.guarantee", "a failed record must not stop the others"},
    {"enable.idempotence", "records must keep their order"},
    {"enable.partition.eof", "the end of a partition must be told"},
    {"group.id", "it follows from `kafka.topic_prefix`"},
    {"group.instance.id", "a node that leaves gives its partitions to the others at once"},
    {"isolation.level", "the ledger has no transactions"},
    {"max.in.flight", "records must keep their order"},
    {"max.in.flight.requests.per.connection", "records must keep their order"},
    {"message.timeout.ms", "a record that times out is written twice"},
    {"metadata.broker.list", "it is `kafka.brokers`"},
    {"partition.assignment.strategy", "it is cooperative-sticky"},
    {"request.required.acks", "an event is durable when all in-sync replicas have it"},
    {"session.timeout.ms", "it is `kafka.session_timeout_ms`"},
    {"transactional.id", "the ledger has no transactions"},
};

int to_int(milliseconds time) {
  return static_cast<int>(std::max<std::int64_t>(time.count(), 0));
}

error from_code(rd_kafka_resp_err_t code, std::string_view detail = {}) {
  error out;
  out.code = code;
  out.message = rd_kafka_err2str(code);
  if (!detail.empty() && detail != out.message)
    out.message += ": " + std::string{detail};
  return out;
}

struct conf_destroyer {
  void operator()(rd_kafka_conf_t* raw) const { rd_kafka_conf_destroy(raw); }
};
using conf_ptr = std::unique_ptr<rd_kafka_conf_t, conf_destroyer>;

struct list_destroyer {
  void operator()(rd_kafka_topic_partition_list_t* raw) const {
    rd_kafka_topic_partition_list_destroy(raw);
  }
};
using list_ptr = std::unique_ptr<rd_kafka_topic_partition_list_t, list_destroyer>;

result<void, error> set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  std::array<char, 512> why{};
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why.data(), why.size())
      == RD_KAFKA_CONF_OK)
    return {};
  error out;
  out.code = RD_KAFKA_RESP_ERR__INVALID_ARG;
  out.message = name + ": " + why.data();
  return out;
}

/// Kafka's null is no text.
std::optional<std::string_view> view_of(const void* bytes, std::size_t size) {
  if (bytes == nullptr)
    return std::nullopt;
  return std::string_view{static_cast<const char*>(bytes), size};
}

topic_info describe_topic(const rd_kafka_metadata_topic_t& from) {
  topic_info out;
  out.name = from.topic;
  for (int i = 0; i < from.partition_cnt; ++i) {
    const auto& p = from.partitions[i];
    out.partitions.push_back({p.id, p.leader, static_cast<std::size_t>(p.replica_cnt)});
  }
  std::sort(out.partitions.begin(), out.partitions.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return out;
}

} // namespace

std::string error::name() const {
  return rd_kafka_err2name(static_cast<rd_kafka_resp_err_t>(code));
}

const topic_info* cluster_info::find(std::string_view topic) const {
  const auto at = std::find_if(topics.begin(), topics.end(),
                               [&](const topic_info& each) { return each.name == topic; });
  return at != topics.end() ? &*at : nullptr;
}

std::optional<std::string> forbidden_property(std::string_view name) {
  for (const auto& each : kept_properties)
    if (each.name == name)
      return std::string{each.why};
  return std::nullopt;
}

struct client::callbacks {
  static void log(const rd_kafka_t* raw, int level, const char*, const char* line) {
    const auto* self = static_cast<client*>(rd_kafka_opaque(raw));
    if (self != nullptr && self->log_)
      self->log_(level, line);
  }
  static void failed(rd_kafka_t* raw, int code, const char* reason, void* opaque) {
    auto* self = static_cast<client*>(opaque);
    auto why = from_code(static_cast<rd_kafka_resp_err_t>(code), reason);
    why.fatal = code == RD_KAFKA_RESP_ERR__FATAL;
    if (self->log_)
      self->log_(why.fatal ? 3 : 4, std::string{rd_kafka_name(raw)} + ": " + why.message);
  }
};

void client::destroyer::operator()(rd_kafka_s* raw) const {
  rd_kafka_destroy(raw);
}

result<void, error> client::start(kind what, const cluster& with, const std::vector<setting>& own) {
  log_ = with.log;
  conf_ptr conf{rd_kafka_conf_new()};
  std::vector<setting> all{
      {"bootstrap.servers", with.brokers},  {"client.id", "runledger"},
      {"reconnect.backoff.max.ms", "1000"}, {"socket.timeout.ms", "5000"},
      {"socket.keepalive.enable", "true"},  {"allow.auto.create.topics", "false"},
      {"log.connection.close", "false"}};
  for (const auto& [name, value] : with.properties) {
    if (const auto why = forbidden_property(name))
      return error{RD_KAFKA_RESP_ERR__INVALID_ARG, false, name + " cannot be set: " + *why};
    all.emplace_back(name, value);
  }
  for (const auto& each : own)
    if (!with.properties.contains(each.first))
      all.push_back(each);
  for (const auto& [name, value] : all)
    if (auto done = set(conf.get(), name, value); !done)
      return done.error();
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_log_cb(conf.get(), callbacks::log);
  rd_kafka_conf_set_error_cb(conf.get(), callbacks::failed);
  configure(conf.get());
  std::array<char, 512> why{};
  auto* made = rd_kafka_new(what == kind::producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER,
                            conf.get(), why.data(), why.size());
  if (made == nullptr)
    return from_code(rd_kafka_last_error(), why.data());
  (void)conf.release(); // The instance owns it now.
  raw_.reset(made);
  return {};
}

result<cluster_info, error> client::ask(bool all_topics, milliseconds timeout) const {
  const rd_kafka_metadata_t* got = nullptr;
  if (auto code = rd_kafka_metadata(raw(), all_topics ? 1 : 0, nullptr, &got, to_int(timeout));
      code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return from_code(code);
  cluster_info out;
  out.brokers = static_cast<std::size_t>(got->broker_cnt);
  for (int i = 0; i < got->topic_cnt; ++i)
    if (got->topics[i].partition_cnt > 0)
      out.topics.push_back(describe_topic(got->topics[i]));
  rd_kafka_metadata_destroy(got);
  return out;
}

result<cluster_info, error> client::describe(milliseconds timeout) const {
  return ask(true, timeout);
}

result<cluster_info, error> client::describe_used(milliseconds timeout) const {
  return ask(false, timeout);
}

result<std::string, error> client::cluster_id(milliseconds timeout) const {
  char* id = rd_kafka_clusterid(raw(), to_int(timeout));
  if (id == nullptr)
    return from_code(RD_KAFKA_RESP_ERR__TIMED_OUT, "no broker told the cluster's id");
  std::string out{id};
  rd_kafka_mem_free(raw(), id);
  return out;
}

// What the API calls a search by time asks for the end where the time is -1, and for all partitions
// of a broker at once.
result<std::vector<std::int64_t>, error>
client::ends_now(const std::vector<raw_partition>& partitions, milliseconds timeout) const {
  list_ptr list{rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size()))};
  for (const auto& p : partitions)
    rd_kafka_topic_partition_list_add(list.get(), p.topic.c_str(), p.partition)->offset =
        RD_KAFKA_OFFSET_END;
  if (auto code = rd_kafka_offsets_for_times(raw(), list.get(), to_int(timeout));
      code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return from_code(code);
  std::vector<std::int64_t> out;
  for (const auto& p : partitions) {
    const auto* found =
        rd_kafka_topic_partition_list_find(list.get(), p.topic.c_str(), p.partition);
    if (found == nullptr || found->err != RD_KAFKA_RESP_ERR_NO_ERROR || found->offset < 0)
      return from_code(found != nullptr ? found->err : RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
                       p.topic + " [" + std::to_string(p.partition) + "]");
    out.push_back(found->offset);
  }
  return out;
}

/// A leader that has just changed, or a topic that was just made, is found by asking again.
result<std::vector<std::int64_t>, error> client::ends(const std::vector<raw_partition>& partitions,
                                                      milliseconds timeout) const {
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (true) {
    auto out = ends_now(partitions, timeout);
    if (out || std::chrono::steady_clock::now() + ask_again >= end)
      return out;
    std::this_thread::sleep_for(ask_again);
  }
}

std::optional<error> client::fatal() const {
  std::array<char, 512> why{};
  auto code = rd_kafka_fatal_error(raw(), why.data(), why.size());
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
    return std::nullopt;
  auto out = from_code(code, why.data());
  out.fatal = true;
  return out;
}

result<std::unique_ptr<producer>, error>
producer::open(const cluster& with, failure_listener on_failure, success_listener on_stored) {
  std::unique_ptr<producer> out{new producer};
  out->on_failure_ = std::move(on_failure);
  out->on_stored_ = std::move(on_stored);
  auto started = out->start(kind::producer, with,
                            {{"enable.idempotence", "true"},
                             {"acks", "all"},
                             {"linger.ms", "0"},
                             {"compression.type", "lz4"},
                             {"message.timeout.ms", "300000"},
                             {"queue.buffering.max.kbytes", "131072"},
                             {"request.timeout.ms", "4000"},
                             {"message.max.bytes", std::to_string(16 << 20)},
                             {"queue.buffering.max.messages", "1000000"},
                             {"delivery.report.only.error", out->on_stored_ ? "false" : "true"}});
  if (!started)
    return started.error();
  return out;
}

producer::~producer() {
  rd_kafka_purge(raw(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  rd_kafka_flush(raw(), 1000);
  for (const auto& [name, handle] : topics_)
    rd_kafka_topic_destroy(handle);
}

/// nullptr: there can be no topic of that name.
rd_kafka_topic_s* producer::handle_of(const std::string& topic) {
  std::lock_guard guard{mutex_};
  auto& handle = topics_[topic];
  if (handle == nullptr)
    handle = rd_kafka_topic_new(raw(), topic.c_str(), nullptr);
  if (handle != nullptr)
    return handle;
  topics_.erase(topic);
  return nullptr;
}

void producer::prepare(const std::vector<std::string>& topics, milliseconds timeout) {
  for (const auto& topic : topics)
    handle_of(topic);
  (void)describe_used(timeout);
}

void producer::configure(rd_kafka_conf_s* conf) {
  rd_kafka_conf_set_dr_msg_cb(conf, report);
}

void producer::report(rd_kafka_s*, const rd_kafka_message_s* message, void* self) {
  const auto* mine = static_cast<producer*>(static_cast<client*>(self));
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (mine->on_stored_)
      mine->on_stored_(message->_private);
    return;
  }
  const bool perhaps = rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
  if (mine->on_failure_)
    mine->on_failure_(message->_private, perhaps, from_code(message->err));
}

result<void, error> producer::send(const raw_partition& to, const record_view& what, void* tag) {
  auto* topic = handle_of(to.topic);
  if (topic == nullptr)
    return from_code(rd_kafka_last_error(), to.topic);
  auto* headers = rd_kafka_headers_new(what.headers.size());
  for (const auto& h : what.headers)
    rd_kafka_header_add(headers, h.name.data(), static_cast<ssize_t>(h.name.size()),
                        h.value ? h.value->data() : nullptr,
                        h.value ? static_cast<ssize_t>(h.value->size()) : 0);
  const auto key = what.key.value_or(std::string_view{});
  const auto value = what.value.value_or(std::string_view{});
  const auto code =
      rd_kafka_producev(raw(), RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(to.partition),
                        RD_KAFKA_V_KEY(key.data(), key.size()),
                        RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers),
                        RD_KAFKA_V_OPAQUE(tag), RD_KAFKA_V_END);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
    return {};
  rd_kafka_headers_destroy(headers);
  auto out = from_code(code);
  out.fatal = code == RD_KAFKA_RESP_ERR__FATAL;
  return out;
}

void producer::poll(milliseconds wait) {
  rd_kafka_poll(raw(), to_int(wait));
}

bool producer::flush(milliseconds timeout) {
  return rd_kafka_flush(raw(), to_int(timeout)) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

std::size_t producer::unfinished() const {
  return static_cast<std::size_t>(rd_kafka_outq_len(raw()));
}

void message::destroyer::operator()(rd_kafka_message_s* raw) const {
  rd_kafka_message_destroy(raw);
}

bool message::is_record() const {
  return raw_ && raw_->err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool message::is_end() const {
  return raw_ && raw_->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
}

bool message::is_out_of_range() const {
  return raw_
         && (raw_->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
             || raw_->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
}

error message::why() const {
  auto text = raw_->payload != nullptr
                  ? std::string_view{static_cast<const char*>(raw_->payload), raw_->len}
                  : std::string_view{};
  return from_code(raw_->err, text);
}

std::string_view message::topic() const {
  return raw_->rkt != nullptr ? rd_kafka_topic_name(raw_->rkt) : "";
}

std::int32_t message::partition() const {
  return raw_->partition;
}

std::int64_t message::offset() const {
  return raw_->offset;
}

record_view message::content(std::vector<header_view>& headers) const {
  headers.clear();
  rd_kafka_headers_t* list = nullptr;
  const bool has_headers =
      rd_kafka_message_headers(raw_.get(), &list) == RD_KAFKA_RESP_ERR_NO_ERROR;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       has_headers
       && rd_kafka_header_get_all(list, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i)
    headers.push_back({name, view_of(value, size)});
  return {view_of(raw_->key, raw_->key_len), headers, view_of(raw_->payload, raw_->len)};
}

result<std::unique_ptr<consumer>, error> consumer::open(const cluster& with) {
  std::unique_ptr<consumer> out{new consumer};
  auto started = out->start(kind::consumer, with,
                            {{"group.id", "runledger-replica"}, // Of no use, but asked for.
                             {"enable.auto.commit", "false"},
                             {"enable.auto.offset.store", "false"},
                             {"enable.partition.eof", "true"},
                             {"auto.offset.reset", "error"},
                             {"check.crcs", "true"},
                             {"fetch.wait.max.ms", "100"},
                             {"fetch.error.backoff.ms", "100"}});
  if (!started)
    return started.error();
  rd_kafka_poll_set_consumer(out->raw());
  return out;
}

consumer::~consumer() {
  rd_kafka_consumer_close(raw());
}

result<void, error> consumer::assign(const std::vector<place>& places) {
  list_ptr list{rd_kafka_topic_partition_list_new(static_cast<int>(places.size()))};
  for (const auto& p : places)
    rd_kafka_topic_partition_list_add(list.get(), p.where.topic.c_str(), p.where.partition)
        ->offset = p.offset;
  if (auto code = rd_kafka_assign(raw(), list.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return from_code(code);
  return {};
}

std::int64_t consumer::heard_end(const raw_partition& of) const {
  std::int64_t low = -1, high = -1;
  if (rd_kafka_get_watermark_offsets(raw(), of.topic.c_str(), of.partition, &low, &high)
      != RD_KAFKA_RESP_ERR_NO_ERROR)
    return -1;
  return high;
}

message consumer::poll(milliseconds wait) {
  return message{rd_kafka_consumer_poll(raw(), to_int(wait))};
}

} // namespace runledger::kafka
