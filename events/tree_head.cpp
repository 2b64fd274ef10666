#include "events/tree_head.hpp"

#include "events/attributes.hpp"
#include "events/base64.hpp"
#include "events/codec.hpp"
#include "events/partition.hpp"

#include <algorithm>
#include <charconv>

namespace runledger {

namespace {

/// Reads the members of a line; remembers whether all were there and sound.
class line_reader {
public:
  explicit line_reader(const json::value& line) : line_(line), ok_(line.is_object()) {}

  std::string text(std::string_view name) {
    auto found = line_.find(name);
    ok_ = ok_ && found && found->is_string() && !found->string().empty();
    return ok_ ? std::string{found->string()} : std::string{};
  }
  std::int64_t number(std::string_view name, std::int64_t least) {
    auto found = line_.find(name);
    auto n = found ? found->integer() : std::nullopt;
    ok_ = ok_ && n && *n >= least;
    return n.value_or(least);
  }
  digest hash(std::string_view name) {
    auto read = digest_from_hex(text(name));
    ok_ = ok_ && read;
    return read.value_or(digest{});
  }
  timestamp time(std::string_view name) {
    auto read = parse_rfc3339(text(name));
    ok_ = ok_ && read;
    return read.value_or(timestamp{});
  }
  bool ok() const { return ok_; }

private:
  json::value line_;
  bool ok_;
};

} // namespace

std::optional<merkle::frontier> tree_of(const tree_head& head) {
  std::vector<digest> peaks;
  for (const auto& hex : head.frontier) {
    auto peak = digest_from_hex(hex);
    if (!peak)
      return std::nullopt;
    peaks.push_back(*peak);
  }
  auto tree = merkle::frontier::from(head.tree_size, std::move(peaks));
  return tree && tree->size() > 0 && tree->root() == head.root ? tree : std::nullopt;
}

std::optional<signed_tree_head> signed_head_of(const envelope& e, std::string_view ledger) {
  auto fact = decode<partition_event>(e);
  if (!fact || !std::holds_alternative<tree_head>(*fact))
    return std::nullopt;
  const auto& head = std::get<tree_head>(*fact);
  return signed_tree_head{
      std::string{ledger}, e.stream.value,   e.seq,     e.prevhash, e.time,        head.tree_size,
      head.root,           head.last_offset, head.node, head.key,   head.signature};
}

std::string signed_bytes(const signed_tree_head& head) {
  std::string out = "runledger-tree-head-1\n";
  append_attribute(out, "ledger", head.ledger);
  append_attribute(out, "partition", head.partition);
  append_attribute(out, "sequence", std::to_string(head.seq));
  append_attribute(out, "prevhash", to_hex(head.prevhash));
  append_attribute(out, "time", to_rfc3339(head.time));
  append_attribute(out, "tree_size", std::to_string(head.tree_size));
  append_attribute(out, "root", to_hex(head.root));
  append_attribute(out, "last_offset", std::to_string(head.last_offset));
  append_attribute(out, "node", head.node);
  append_attribute(out, "key", to_hex(head.key));
  return out;
}

bool is_signed_by(const signed_tree_head& head, const ed25519::public_key& key) {
  auto signature = from_base64(head.signature);
  return signature && head.key == key.fingerprint() && key.verifies(signed_bytes(head), *signature);
}

std::string to_line(const signed_tree_head& head) {
  std::string out;
  json_writer{out}
      .begin_object()
      .member("ledger", head.ledger)
      .member("partition", head.partition)
      .member("sequence", head.seq)
      .member("prevhash", to_hex(head.prevhash))
      .member("time", to_rfc3339(head.time))
      .member("tree_size", head.tree_size)
      .member("root", to_hex(head.root))
      .member("last_offset", head.last_offset)
      .member("node", head.node)
      .member("key", to_hex(head.key))
      .member("signature", head.signature)
      .end_object();
  return out;
}

std::optional<signed_tree_head> head_from_line(std::string_view line) {
  auto parsed = json::parse(line);
  if (!parsed)
    return std::nullopt;
  line_reader in{parsed->root()};
  signed_tree_head out;
  out.ledger = in.text("ledger");
  out.partition = in.text("partition");
  out.seq = static_cast<std::uint64_t>(in.number("sequence", 1));
  out.prevhash = in.hash("prevhash");
  out.time = in.time("time");
  out.tree_size = static_cast<std::uint64_t>(in.number("tree_size", 1));
  out.root = in.hash("root");
  out.last_offset = in.number("last_offset", 0);
  out.node = in.text("node");
  out.key = in.hash("key");
  out.signature = in.text("signature");
  return in.ok() ? std::optional{std::move(out)} : std::nullopt;
}

std::shared_ptr<record> make_tree_head(const head_source& from, const merkle::frontier& tree,
                                       std::int64_t last_offset, const ed25519::private_key& key) {
  tree_head fact;
  fact.tree_size = tree.size();
  fact.root = tree.root();
  fact.last_offset = last_offset;
  fact.node = from.node;
  fact.key = key.public_part().fingerprint();
  for (const auto& peak : tree.peaks())
    fact.frontier.push_back(to_hex(peak));

  envelope e;
  e.stream.value = e.partition_key = from.own.partition_key;
  e.workspace.value = system_workspace;
  e.principal = "system";
  e.time = std::max(from.now, from.own.time);
  signed_tree_head said{std::string{from.ledger},
                        e.stream.value,
                        from.own.seq + 1,
                        from.own.hash,
                        e.time,
                        fact.tree_size,
                        fact.root,
                        last_offset,
                        fact.node,
                        fact.key,
                        {}};
  fact.signature = to_base64(key.sign(signed_bytes(said)));
  auto encoded = encode(partition_event{std::move(fact)});
  e.type = std::move(encoded.type);
  e.data = std::move(encoded.data);
  return make_record(from.own, std::move(e), from.epoch, false);
}

} // namespace runledger
