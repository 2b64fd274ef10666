#include "projections/replay/bundle.hpp"

#include "events/base64.hpp"
#include "events/cloud_event.hpp"
#include "events/codec.hpp"
#include "events/node.hpp"
#include "events/partition.hpp"
#include "projections/replay/row_source.hpp"
#include "projections/replay/spooled_tree.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace runledger::replay {

namespace {

using kind = export_error::kind;

export_error of_ledger(read_error why) {
  return {kind::ledger, why.detail, std::move(why)};
}

/// What the first pass learns of a partition.
struct surveyed {
  explicit surveyed(spooled_tree t) : tree(std::move(t)) {}

  spooled_tree tree;
  stream_id own;
  std::string ledger;
  std::int64_t end = 0; ///< Is not read beyond it: the ledger may grow.
  std::optional<signed_tree_head> newest;
  bool head_at_odds = false;          ///< One does not cover just what stands before it.
  std::vector<signed_tree_head> kept; ///< Those of them that were brought along.

  std::int64_t first_offset = -1, last_offset = -1; ///< Of the selected events.
  std::uint64_t first_leaf = 0;
  std::uint64_t events = 0;        ///< Selected ones up to last_offset...
  std::uint64_t signed_events = 0; ///< ...and those of them that the newest head covers.
};

/// The first pass over a partition: the tree, the heads, and how far the selection reaches.
class surveyor {
public:
  surveyor(surveyed& out, const bundle_options& options,
           std::map<std::string, std::vector<node::registered_key>>& keys,
           std::vector<bool>& kept_found)
      : out_(out), options_(options), keys_(keys), kept_found_(kept_found) {}

  void take(const record& r) {
    if (damage_)
      return;
    if (r.event.stream == out_.own)
      return take_own(r);
    if (is_node_stream(r.event.stream))
      take_key(r);
    if (options_.what.holds(r.event))
      take_selected(r);
    out_.tree.add(r.event.eventhash);
  }
  const std::optional<read_error>& damage() const { return damage_; }

private:
  void take_own(const record& r) {
    if (auto opened = r.event.seq == 1 ? read_opened(r.event.data) : std::nullopt)
      out_.ledger = opened->ledger;
    auto head = signed_head_of(r.event, out_.ledger);
    if (!head)
      return;
    out_.head_at_odds |= head->tree_size != out_.tree.size();
    out_.newest = *head;
    out_.signed_events = matching_;
    for (std::size_t i = 0; i < options_.kept.size(); ++i)
      if (!kept_found_[i] && options_.kept[i].head == *head) {
        kept_found_[i] = true;
        out_.kept.push_back(*head);
      }
  }

  void take_key(const record& r) {
    if (auto fact = decode<node::event>(r.event))
      for (auto& k : node::evolve({}, *fact, r.event.time).keys)
        keys_[r.event.stream.value].push_back(std::move(k));
  }

  void take_selected(const record& r) {
    const auto& what = options_.what;
    if (out_.first_offset < 0) {
      if (what.since && r.event.time < *what.since)
        return;
      out_.first_offset = r.offset;
      out_.first_leaf = out_.tree.size();
    }
    ++matching_;
    if (!r.damage.empty() && !damage_)
      damage_ = {read_error::kind::corrupt, r.event.stream, r.event.seq, r.offset, r.damage};
    if (what.until && r.event.time >= *what.until)
      return;
    out_.last_offset = r.offset;
    out_.events = matching_;
  }

  surveyed& out_;
  const bundle_options& options_;
  std::map<std::string, std::vector<node::registered_key>>& keys_; // By stream.
  std::vector<bool>& kept_found_;
  std::uint64_t matching_ = 0;
  std::optional<read_error> damage_;
};

class bundle_writer {
public:
  bundle_writer(const event_log& log, const bundle_options& options)
      : log_(log), options_(options), kept_found_(options.kept.size()) {}

  result<bundle_summary, export_error> run() {
    for (std::uint32_t p = 0; p < log_.partition_count(); ++p)
      if (auto done = survey(p); !done)
        return done.error();
    if (auto sound = judge(); !sound)
      return sound.error();
    write_manifest();
    write_keys();
    for (const auto& p : partitions_)
      write_heads(p);
    for (std::uint32_t p = 0; p < partitions_.size(); ++p)
      if (auto done = write_events(p); !done)
        return done.error();
    const auto end = bundle_end_line(hasher_.finish()) + '\n';
    if (broken_ || !options_.write(end))
      return unwritten();
    return summary_;
  }

private:
  static export_error unwritten() { return {kind::output, "the file cannot be written", {}}; }

  template <class Take>
  result<void, export_error> read(std::uint32_t partition, std::int64_t from, std::int64_t end,
                                  Take&& take) {
    row_source rows{log_, partition};
    for (auto at = from; at < end;) {
      auto taken = rows.page(at, end, [&](const record& r) {
        at = r.offset + 1;
        take(r);
      });
      if (!taken)
        return of_ledger(taken.error());
      if (*taken == 0)
        break;
      read_ += *taken;
      if (options_.progress)
        options_.progress(read_,
                          read_ + static_cast<std::uint64_t>(std::max<std::int64_t>(0, end - at)));
      if (broken_)
        return unwritten();
    }
    return {};
  }

  result<void, export_error> survey(std::uint32_t p) {
    auto tree = spooled_tree::in(options_.folder);
    if (!tree)
      return export_error{kind::output, tree.error(), {}};
    auto& out = partitions_.emplace_back(std::move(*tree));
    out.own = partition_stream(log_.partition_name(p));
    out.end = log_.end_offset(p);
    surveyor look{out, options_, keys_, kept_found_};
    if (auto done = read(p, 0, out.end, [&](const record& r) { look.take(r); }); !done)
      return done;
    if (look.damage())
      return of_ledger(*look.damage());
    if (out.last_offset < 0)
      out.events = 0;
    out.signed_events = std::min(out.signed_events, out.events);
    return {};
  }

  const ed25519::public_key* signer_of(const signed_tree_head& head) const {
    auto known = keys_.find(node_stream_of(head.node).value);
    if (known == keys_.end())
      return nullptr;
    auto signer = std::ranges::find_if(known->second,
                                       [&](const auto& k) { return is_signed_by(head, k.key); });
    return signer == known->second.end() ? nullptr : &signer->key;
  }

  /// A bundle that would not verify is not written.
  result<void, export_error> judge() {
    for (const auto& p : partitions_) {
      summary_.events += p.events;
      summary_.unsigned_events += p.events - p.signed_events;
      if (summary_.ledger.empty())
        summary_.ledger = p.ledger;
      if (!p.tree.failed().empty())
        return export_error{kind::output, p.tree.failed(), {}};
      if (p.head_at_odds)
        return export_error{
            kind::unsound, "a tree head covers other events than stand before it", {}};
      if (p.newest)
        if (auto sound = judge_head(p, *p.newest); !sound)
          return sound;
      for (const auto& head : p.kept)
        if (auto sound = judge_head(p, head); !sound)
          return sound;
    }
    for (std::size_t i = 0; i < kept_found_.size(); ++i)
      if (!kept_found_[i])
        return export_error{
            kind::unsound, options_.kept[i].from + ": the ledger does not hold this tree head", {}};
    if (summary_.events == 0)
      return export_error{kind::nothing, "the ledger holds nothing of what was asked for", {}};
    return {};
  }

  result<void, export_error> judge_head(const surveyed& p, const signed_tree_head& head) const {
    const auto named = "the tree head " + head.partition + ':' + std::to_string(head.seq);
    if (head.tree_size > p.tree.size() || p.tree.root(head.tree_size) != head.root)
      return export_error{kind::unsound, named + " was signed over other events", {}};
    if (signer_of(head) == nullptr)
      return export_error{kind::unsound, named + " is not signed by a key that its node had", {}};
    return {};
  }

  void write(std::string& line) {
    line += '\n';
    hasher_.update(line);
    broken_ = broken_ || !options_.write(line);
    line.clear();
  }

  /// Heads of the partitions from which something was taken, the newest first.
  template <class Use>
  static void each_head(const surveyed& p, Use&& use) {
    if (p.events == 0 && p.kept.empty())
      return;
    if (p.newest)
      use(*p.newest);
    for (const auto& head : p.kept)
      if (head != *p.newest)
        use(head);
  }

  void write_manifest() {
    for (const auto& p : partitions_)
      each_head(p, [&](const signed_tree_head& head) {
        ++summary_.tree_heads;
        signers_.emplace(head.node, *signer_of(head));
      });
    summary_.keys = signers_.size();
    std::string line;
    json_writer{line}
        .begin_object()
        .member("kind", "bundle")
        .member("format", bundle_format)
        .raw_member("version", std::to_string(bundle_version))
        .member("ledger", summary_.ledger)
        .raw_member("asked", options_.what.to_json())
        .member("made_at", to_rfc3339(options_.made_at))
        .member("made_by", options_.made_by)
        .member("keys", summary_.keys)
        .member("tree_heads", summary_.tree_heads)
        .member("events", summary_.events)
        .member("unsigned_events", summary_.unsigned_events)
        .end_object();
    write(line);
  }

  void write_keys() {
    std::string line;
    for (const auto& [node, key] : signers_) {
      json_writer{line}
          .begin_object()
          .member("kind", "key")
          .member("node", node)
          .member("fingerprint", to_hex(key.fingerprint()))
          .member("public_key", to_base64(key.der()))
          .end_object();
      write(line);
    }
  }

  static void write_path(json_writer& json, std::string_view name,
                         const std::vector<digest>& path) {
    json.key(name).begin_array();
    for (const auto& hash : path)
      json.value(to_hex(hash));
    json.end_array();
  }

  void write_heads(const surveyed& p) {
    std::string line;
    each_head(p, [&](const signed_tree_head& head) {
      json_writer json{line};
      json.begin_object().member("kind", "tree_head").raw_member("head", to_line(head));
      if (head != *p.newest)
        write_path(json, "consistency", p.tree.consistency(head.tree_size, p.newest->tree_size));
      json.end_object();
      write(line);
    });
  }

  result<void, export_error> write_events(std::uint32_t index) {
    const auto& p = partitions_[index];
    if (p.events == 0)
      return {};
    auto leaf = p.first_leaf;
    std::string line;
    auto done = read(index, p.first_offset, p.last_offset + 1, [&](const record& r) {
      if (r.event.stream == p.own)
        return;
      if (options_.what.holds(r.event) && !broken_)
        write_event(p, r, leaf, line);
      ++leaf;
    });
    if (done && !p.tree.failed().empty())
      return export_error{kind::output, p.tree.failed(), {}};
    return done;
  }

  void write_event(const surveyed& p, const record& r, std::uint64_t leaf, std::string& line) {
    json_writer json{line};
    json.begin_object()
        .member("kind", "event")
        .member("partition", p.own.value)
        .member("offset", r.offset)
        .member("leaf", leaf);
    if (p.newest && leaf < p.newest->tree_size)
      write_path(json, "path", p.tree.inclusion(leaf, p.newest->tree_size));
    json.key("event");
    append_cloud_event_base64(line, r.event);
    line += '}';
    write(line);
  }

  const event_log& log_;
  const bundle_options& options_;
  std::vector<surveyed> partitions_;
  std::map<std::string, std::vector<node::registered_key>> keys_; // By stream.
  std::set<std::pair<std::string, ed25519::public_key>> signers_;
  std::vector<bool> kept_found_;
  bundle_summary summary_;
  sha256_hasher hasher_;
  std::uint64_t read_ = 0;
  bool broken_ = false;
};

} // namespace

std::string bundle_end_line(const digest& before) {
  return R"({"kind":"end","sha256":")" + to_hex(before) + "\"}";
}

result<bundle_summary, export_error> write_bundle(const event_log& log,
                                                  const bundle_options& options) {
  return bundle_writer{log, options}.run();
}

} // namespace runledger::replay
