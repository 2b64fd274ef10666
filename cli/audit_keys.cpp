#include "cli/audit_verbs.hpp"
#include "cli/offline_verb.hpp"
#include "cli/output.hpp"
#include "events/json_writer.hpp"
#include "events/node.hpp"

#include <fmt/format.h>
#include <set>

namespace runledger::cli {

namespace {

constexpr std::size_t page = 1000;

/// Every server that ever took a partition.
std::set<std::string> nodes_of(const offline_ledger& ledger) {
  std::set<std::string> out;
  for (std::uint32_t p = 0; p < ledger.log().partition_count(); ++p)
    for (std::uint64_t from = 1;;) {
      const auto records =
          ledger.log().read_stream(partition_stream(ledger.log().partition_name(p)), from, page);
      if (!records)
        refuse(ledger, records.error());
      if (records->empty())
        break;
      for (const auto& r : *records)
        if (const auto data = json::parse(r->event.data))
          if (const auto node = data->root().find("node"); node && node->is_string())
            out.emplace(node->string());
      from = records->back()->event.seq + 1;
    }
  return out;
}

void print_key(const std::string& node, const node::registered_key& k) {
  print(fmt::format("{}, registered {}, fingerprint {}\n{}", printable(node), to_rfc3339(k.since),
                    to_hex(k.key.fingerprint()), k.key.pem()));
}

int keys(const offline_options& asked) {
  const offline_ledger ledger{asked};
  std::string out;
  json_writer writer{out};
  writer.begin_array();
  std::size_t count = 0;
  for (const auto& node : nodes_of(ledger)) {
    const auto known = node::read(ledger.log(), node);
    if (!known)
      refuse(ledger, known.error());
    for (const auto& k : known->keys) {
      ++count;
      if (!asked.json)
        print_key(node, k);
      writer.begin_object()
          .member("node", node)
          .member("registered_at", to_rfc3339(k.since))
          .member("fingerprint", to_hex(k.key.fingerprint()))
          .member("public_key", k.key.pem())
          .end_object();
    }
  }
  writer.end_array();
  if (asked.json)
    print(out + "\n");
  else if (count == 0)
    fmt::print(stderr, "{} has registered no key yet\n", ledger.name());
  return count > 0 ? exit_done : exit_no;
}

} // namespace

void add_audit_keys(CLI::App& noun, command& chosen) {
  const auto asked = std::make_shared<offline_options>();
  auto& verb =
      add_offline_verb(noun, chosen, "keys",
                       "Print the public keys with which tree heads are signed (PEM)", asked, keys);
  verb.footer("Take them along once, from a ledger that you trust, and verify with them later.\n"
              "Example:\n"
              "  runledger audit keys --data /var/lib/runledger");
}

} // namespace runledger::cli
