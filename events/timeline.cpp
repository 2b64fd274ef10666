#include "events/timeline.hpp"

namespace runledger {

namespace {

/// Collects one item's data.
class data_builder {
public:
  explicit data_builder(timeline_item& item) : item_(item), json_(item.data) {
    json_.begin_object();
  }
  ~data_builder() { json_.end_object(); }
  data_builder(const data_builder&) = delete;
  data_builder& operator=(const data_builder&) = delete;

  template <class T>
  data_builder& add(std::string_view name, const T& content) {
    json_.member(name, content);
    return *this;
  }
  data_builder& add_if(std::string_view name, const std::string& text) {
    if (!text.empty())
      json_.member(name, text);
    return *this;
  }
  data_builder& add(std::string_view name, const payload& p) {
    if (p.blob)
      item_.blobs.emplace_back(std::string{name}, *p.blob);
    else if (!p.json.empty())
      json_.raw_member(name, p.json);
    return *this;
  }
  data_builder& add_or_null(std::string_view name, const payload& p) {
    if (p.empty())
      json_.null_member(name);
    return add(name, p);
  }
  data_builder& add(std::string_view name, const failure& f) {
    json_.key(name).begin_object().member("code", f.code).member("message", f.message).end_object();
    return *this;
  }
  data_builder& money(std::string_view name, micro_usd amount) {
    json_.raw_member(name, to_usd(amount));
    return *this;
  }

private:
  timeline_item& item_;
  json_writer json_;
};

void status(timeline_item& out, std::string_view now, std::string_view from, std::int64_t attempt) {
  data_builder{out}.add("status", now).add("from", from).add("attempt", attempt);
}

struct run_describer {
  timeline_item& out;
  std::string_view from; // The status before: nothing but seq 1 leaves `pending`.

  void operator()(const run::started&) { status(out, "running", "pending", 1); }
  void operator()(const run::attempt_started& e) { status(out, "running", "running", e.attempt); }
  void operator()(const run::attempt_failed& e) {
    data_builder{out}
        .add("status", "running")
        .add("from", "running")
        .add("attempt", e.attempt)
        .add("error", e.error)
        .add("next_attempt", e.next_attempt)
        .add("delay_ms", e.delay_ms);
  }
  void operator()(const run::step_started& e) {
    data_builder{out}
        .add("key", e.key)
        .add("name", e.title)
        .add("kind", e.kind)
        .add("attempt", e.attempt);
  }
  void operator()(const run::step_completed& e) {
    data_builder{out}
        .add("key", e.key)
        .add("attempt", e.attempt)
        .add_or_null("output", e.output)
        .add("duration_ms", e.duration_ms);
  }
  void operator()(const run::step_retrying& e) {
    data_builder{out}
        .add("key", e.key)
        .add("attempt", e.attempt)
        .add("error", e.error)
        .add("next_attempt", e.next_attempt)
        .add("delay_ms", e.delay_ms);
  }
  void operator()(const run::step_failed& e) {
    data_builder{out}.add("key", e.key).add("attempt", e.attempt).add("error", e.error);
  }
  void operator()(const run::message_emitted& e) {
    data_builder{out}.add("role", e.role).add("content", e.content);
  }
  void operator()(const run::tool_called& e) {
    data_builder{out}.add("key", e.key).add("tool", e.tool).add("args", e.args);
  }
  void operator()(const run::tool_returned& e) {
    data_builder d{out};
    d.add("key", e.key).add("tool", e.tool);
    if (e.error.empty())
      d.add_or_null("output", e.output);
    else
      d.add("error", e.error);
  }
  void operator()(const run::checkpoint_saved& e) { data_builder{out}.add("state", e.state); }
  void operator()(const run::usage_reported& e) {
    data_builder{out}
        .add("tokens_in", e.tokens_in)
        .add("tokens_out", e.tokens_out)
        .money("cost_usd", e.cost_micro_usd)
        .add_if("model", e.model)
        .add_if("category", e.category)
        .add_if("key", e.key);
  }
  void operator()(const run::logged& e) {
    data_builder{out}.add("level", e.level).add("message", e.message).add("fields", e.details);
  }
  void operator()(const run::artifact_published& e) {
    data_builder{out}
        .add("artifact_id", e.artifact.value)
        .add("name", e.title)
        .add("media_type", e.media_type)
        .add("size", e.size_bytes)
        .add("digest", "sha256:" + to_hex(e.content));
  }
  void operator()(const run::cancel_requested&) {}
  void operator()(const run::succeeded& e) {
    data_builder{out}
        .add("status", "succeeded")
        .add("from", from)
        .add("attempt", e.attempt)
        .add_or_null("result", e.result);
  }
  void operator()(const run::failed& e) {
    data_builder{out}
        .add("status", "failed")
        .add("from", from)
        .add("attempt", e.attempt)
        .add("error", e.error);
  }
  void operator()(const run::cancelled& e) { status(out, "cancelled", from, e.attempt); }
};

struct session_describer {
  timeline_item& out;

  void operator()(const session::turn_accepted& e) {
    out.run = e.run;
    data_builder d{out};
    if (e.prompt.empty())
      d.add("initial_state", e.initial_state);
    else
      d.add("content", e.prompt);
  }
  void operator()(const session::terminated& e) { data_builder{out}.add("reason", e.reason); }
  void operator()(const session::turn_ended&) {}
  void operator()(const session::cancel_requested&) {}
};

/// Fills data; false if the event cannot be read.
bool describe(const record& r, timeline_item& out) {
  if (!r.damage.empty())
    return false;
  if (kind_of(r.event.stream) == stream_kind::run) {
    out.run = run_id{r.event.stream.value};
    auto fact = decode<run::event>(r.event);
    if (fact)
      std::visit(run_describer{out, r.event.seq == 1 ? "pending" : "running"}, *fact);
    return fact.has_value();
  }
  auto fact = decode<session::event>(r.event);
  if (fact)
    std::visit(session_describer{out}, *fact);
  return fact.has_value();
}

} // namespace

timeline_verdict place_of(const record& r) {
  const auto* type = find_event_type(r.event.type);
  if (type == nullptr)
    return timeline_verdict::unknown;
  if (type->timeline_item.empty())
    return timeline_verdict::no_place;
  return r.damage.empty() ? timeline_verdict::item : timeline_verdict::damaged;
}

timeline_item item_of(const record& r) {
  timeline_item out;
  out.type = find_event_type(r.event.type)->timeline_item;
  if (describe(r, out))
    return out;
  out = {};
  out.type = "unreadable";
  if (kind_of(r.event.stream) == stream_kind::run)
    out.run = run_id{r.event.stream.value};
  data_builder{out}.add("event_id", r.event.id()).add("offset", r.offset);
  return out;
}

void append_item_json(std::string& out, const record& r, const timeline_item& item,
                      std::uint64_t seq, const blob_loader& load) {
  json_writer json{out};
  json.begin_object().member("id", r.event.id()).member("seq", seq).member("type", item.type);
  if (item.run.empty())
    json.null_member("run_id");
  else
    json.member("run_id", item.run.value);
  json.key("time");
  json.value(to_rfc3339(r.event.time));
  json.key("data").raw(std::string_view{item.data}.substr(0, item.data.size() - 1));
  bool first = item.data == "{}";
  for (const auto& [name, ref] : item.blobs) {
    auto content = load ? load(ref) : std::nullopt;
    if (!content)
      continue;
    out += first ? "" : ",";
    json_writer::append_quoted(out, name);
    out += ':';
    out += *content;
    first = false;
  }
  out += '}';
  json.end_object();
}

std::optional<session_id> session_of(const envelope& e) {
  auto kind = kind_of(e.stream);
  if (kind == stream_kind::session)
    return session_id{e.stream.value};
  if (kind == stream_kind::run)
    return session_id{e.partition_key};
  return std::nullopt;
}

} // namespace runledger
