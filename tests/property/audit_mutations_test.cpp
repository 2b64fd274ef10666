// Goal: whoever changes a ledger behind its server's back is found: 10,000 random changes to
// ledgers of random histories, of every kind below, each told by `verify`; and no sound ledger is
// accused.
//
// A change may be made by somebody who hashes the stream anew to its end, closes the gaps, and
// even signs the tree heads anew with a key that was stolen. AUDIT_MUTATIONS=n makes another
// number.

#include "projections/replay/verify.hpp"
#include "tests/support/rows_log.hpp"
#include "tests/support/seeds.hpp"
#include "tests/support/signed_history.hpp"

#include <gtest/gtest.h>

#include <set>

namespace runledger::test {

namespace {

using replay::finding_kind;

/// What the auditor has beside the ledger.
enum class knows : std::uint8_t {
  nothing, ///< The ledger alone.
  key,     ///< The node's public key.
  heads,   ///< A tree head or more, from before the change.
};

struct tampered {
  rows_log rows;
  const std::vector<signed_tree_head>& heads;
  dice roll;

  const stream_id own{"part_ledger_0"};
  bool is_own(const record& r) const { return r.event.stream == own; }

  /// A row that is not of the partition's own stream.
  std::size_t some_event() {
    for (;;)
      if (auto i = roll.below(rows.rows.size()); !is_own(rows.rows[i]))
        return i;
  }
  /// The last row of its stream.
  std::size_t some_last_event() {
    auto stream = rows.rows[some_event()].event.stream;
    auto i = rows.rows.size();
    while (rows.rows[i - 1].event.stream != stream)
      --i;
    return i - 1;
  }
  std::size_t some_own(std::string_view name) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < rows.rows.size(); ++i)
      if (rows.rows[i].event.type == full_type(name, 1))
        found.push_back(i);
    return roll.pick(found);
  }
  record& at(std::size_t i) { return rows.rows[i]; }
  void erase(std::size_t i) { rows.rows.erase(rows.rows.begin() + static_cast<std::ptrdiff_t>(i)); }
  void insert(std::size_t i, record r) {
    rows.rows.insert(rows.rows.begin() + static_cast<std::ptrdiff_t>(i), std::move(r));
  }

  /// Another text of the same form.
  void change_data(record& r) {
    auto& data = r.event.data;
    auto i = roll.below(data.size());
    data[i] = data[i] == 'x' ? 'y' : 'x';
  }
  void flip(digest& d) { d.bytes[roll.below(32)] ^= static_cast<std::uint8_t>(1 << roll.below(8)); }
};

/// A kind of change. Some do not fit every ledger: false.
struct mutation {
  const char* name;
  knows needs;
  bool (*apply)(tampered&);
};

bool edit_of_an_attribute(tampered& t) {
  auto& e = t.at(t.roll.below(t.rows.rows.size())).event;
  switch (t.roll.below(9)) {
    case 0:
      e.type += 'x';
      break;
    case 1:
      e.workspace.value += 'x';
      break;
    case 2:
      e.partition_key += 'x';
      break;
    case 3:
      e.time += std::chrono::milliseconds{1};
      break;
    case 4:
      e.causation_id += 'x';
      break;
    case 5:
      e.correlation_id = "req_other";
      break;
    case 6:
      e.principal = "key_somebody_else";
      break;
    case 7:
      e.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
      break;
    default:
      e.stream.value += 'x';
  }
  return true;
}

bool edit_of_a_hash(tampered& t) {
  auto& e = t.at(t.roll.below(t.rows.rows.size())).event;
  auto which = t.roll.below(3);
  t.flip(which == 0 ? e.datahash : which == 1 ? e.prevhash : e.eventhash);
  return true;
}

bool edit_beside_the_envelope(tampered& t) {
  auto& r = t.at(t.roll.below(t.rows.rows.size()));
  if (t.roll.coin())
    r.partition = 1;
  else
    r.epoch += t.roll.coin() || r.epoch == 0 ? 1 : -1;
  return true;
}

bool removal(tampered& t) {
  t.erase(t.roll.below(t.rows.rows.size() - 1));
  return true;
}

bool removal_of_a_stream(tampered& t) {
  auto stream = t.at(t.some_event()).event.stream;
  std::erase_if(t.rows.rows, [&](const record& r) { return r.event.stream == stream; });
  std::erase_if(t.rows.index, [&](const unfinished_stream& u) { return u.stream == stream; });
  t.rows.renumber();
  return true;
}

/// A well-made event behind its stream's last.
record forged_after(const record& last) {
  auto out = last;
  auto& e = out.event;
  ++e.seq;
  e.prevhash = e.eventhash;
  e.type = full_type("run.logged", 1);
  e.data = R"({"level":"info","message":"forged"})";
  seal(e);
  return out;
}

bool insertion_behind_a_stream(tampered& t) {
  auto i = t.some_last_event();
  t.insert(i + 1, forged_after(t.at(i)));
  t.rows.renumber();
  return true;
}

bool insertion_of_a_stream(tampered& t) {
  auto i = t.some_event();
  auto r = t.at(i);
  auto& e = r.event;
  e.stream.value = e.partition_key = "sess_" + make_ulid(e.time, 7, t.roll.next());
  e.seq = 1;
  e.prevhash = {};
  seal(e);
  r.open = false;
  r.due_ms.reset();
  t.insert(i, std::move(r));
  t.rows.renumber();
  return true;
}

bool insertion_of_a_copy(tampered& t) {
  auto from = t.roll.below(t.rows.rows.size());
  t.insert(t.roll.below(t.rows.rows.size()), record{t.at(from)});
  t.rows.renumber();
  return true;
}

bool swap_of_neighbours(tampered& t) {
  auto i = t.roll.below(t.rows.rows.size() - 1);
  std::swap(t.at(i), t.at(i + 1));
  t.rows.renumber();
  return true;
}

bool swap_of_any_two(tampered& t) {
  auto a = t.roll.below(t.rows.rows.size()), b = t.roll.below(t.rows.rows.size());
  std::swap(t.at(a), t.at(b));
  t.rows.renumber();
  return a != b;
}

bool swap_of_contents(tampered& t) {
  auto &a = t.at(t.some_event()).event, &b = t.at(t.some_event()).event;
  std::swap(a.data, b.data);
  std::swap(a.datahash, b.datahash);
  return a.datahash != b.datahash;
}

bool cut(tampered& t, std::size_t left) {
  t.rows.rows.resize(left);
  std::map<stream_id, const record*> last;
  for (const auto& r : t.rows.rows)
    last[r.event.stream] = &r;
  t.rows.index.clear();
  for (const auto& [stream, r] : last)
    if (r->open)
      t.rows.index.push_back({stream, r->due_ms});
  return true;
}

std::vector<mutation> edits() {
  return {
      {"edit of data", knows::nothing,
       [](tampered& t) {
         t.change_data(t.at(t.roll.below(t.rows.rows.size())));
         return true;
       }},
      {"edit of an attribute", knows::nothing, edit_of_an_attribute},
      {"edit of a hash", knows::nothing, edit_of_a_hash},
      {"edit beside the envelope", knows::nothing, edit_beside_the_envelope},
      {"edit, the event hashed anew", knows::nothing,
       [](tampered& t) {
         auto& r = t.at(t.some_event());
         t.change_data(r);
         seal(r.event);
         return true;
       }},
      {"edit of a stream's last event, hashed anew", knows::nothing,
       [](tampered& t) {
         auto& r = t.at(t.some_last_event());
         t.change_data(r);
         seal(r.event);
         return true;
       }},
      {"edit, the stream hashed anew to its end", knows::nothing,
       [](tampered& t) {
         auto& r = t.at(t.some_event());
         t.change_data(r);
         t.rows.rehash(r.event.stream);
         return true;
       }},
      {"edit, hashed anew, heads signed by a stranger", knows::nothing,
       [](tampered& t) {
         auto& r = t.at(t.some_event());
         t.change_data(r);
         t.rows.rehash(r.event.stream);
         t.rows.sign_anew(ed25519::private_key::from_seed(sha256("a stranger's")));
         return true;
       }},
      {"edit of a claim, its stream hashed anew", knows::nothing,
       [](tampered& t) {
         auto& r = t.at(t.some_own("partition.claimed"));
         r.event.data.insert(r.event.data.find("test"), "x");
         t.rows.rehash(t.own);
         return true;
       }},
      {"edit of a head, its stream hashed anew", knows::nothing,
       [](tampered& t) {
         t.change_data(t.at(t.some_own(tree_head::name)));
         t.rows.rehash(t.own);
         return true;
       }},
  };
}

std::vector<mutation> removals_and_insertions() {
  return {
      {"removal", knows::nothing, removal},
      {"removal, the gap closed", knows::nothing,
       [](tampered& t) {
         removal(t);
         t.rows.renumber();
         return true;
       }},
      {"removal, the stream hashed anew", knows::nothing,
       [](tampered& t) {
         auto i = t.some_event();
         auto stream = t.at(i).event.stream;
         t.erase(i);
         t.rows.renumber();
         t.rows.rehash(stream);
         return true;
       }},
      {"removal of a stream's last event", knows::nothing,
       [](tampered& t) {
         t.erase(t.some_last_event());
         t.rows.renumber();
         return true;
       }},
      {"removal of a stream", knows::nothing, removal_of_a_stream},
      {"removal of a head, its stream hashed anew", knows::nothing,
       [](tampered& t) {
         auto i = t.some_own(tree_head::name);
         if (i + 1 == t.rows.rows.size())
           return false; // That is a cut.
         t.erase(i);
         t.rows.renumber();
         t.rows.rehash(t.own);
         return true;
       }},
      {"insertion of a copy", knows::nothing, insertion_of_a_copy},
      {"insertion behind a stream", knows::nothing, insertion_behind_a_stream},
      {"insertion of a stream", knows::nothing, insertion_of_a_stream},
      {"swap of neighbours", knows::nothing, swap_of_neighbours},
      {"swap of any two", knows::nothing, swap_of_any_two},
      {"swap of contents", knows::nothing, swap_of_contents},
      {"the index of unfinished work, changed", knows::nothing,
       [](tampered& t) {
         if (t.rows.index.empty() || t.roll.coin())
           t.rows.index.push_back({stream_id{"sess_nobody"}, {}});
         else
           t.rows.index.erase(t.rows.index.begin());
         return true;
       }},
      {"events under a head are cut off", knows::nothing,
       [](tampered& t) {
         auto head = t.rows.rows.back();
         cut(t, 2 + t.roll.below(t.rows.rows.size() - 3));
         t.rows.rows.push_back(head);
         t.rows.renumber();
         return true;
       }},
  };
}

/// Those that hide behind heads of their own: found only with what the auditor brought along.
std::vector<mutation> signed_anew() {
  return {
      {"all signed anew by another key, which is registered", knows::key,
       [](tampered& t) {
         auto other = ed25519::private_key::from_seed(sha256("another's"));
         auto& r = t.at(t.some_own(node::key_registered::name));
         auto fact = encode(node::decide({}, {other.public_part()}).facts.front());
         r.event.data = fact.data;
         t.rows.rehash(r.event.stream);
         t.rows.sign_anew(other);
         return true;
       }},
      {"edit, all signed anew with the stolen key", knows::heads,
       [](tampered& t) {
         auto& r = t.at(t.some_event());
         if (is_node_stream(r.event.stream))
           return false; // Changes what is trusted.
         t.change_data(r);
         t.rows.rehash(r.event.stream);
         t.rows.sign_anew(signing_key());
         return true;
       }},
      {"insertion, all signed anew with the stolen key", knows::heads,
       [](tampered& t) {
         insertion_of_a_stream(t);
         t.rows.sign_anew(signing_key());
         return true;
       }},
      {"edit of a claim, all signed anew with the stolen key", knows::heads,
       [](tampered& t) {
         auto& r = t.at(t.some_own("partition.claimed"));
         r.event.data.insert(r.event.data.find("test"), "x");
         t.rows.sign_anew(signing_key());
         return true;
       }},
      {"the end is cut off", knows::heads,
       [](tampered& t) { return cut(t, 2 + t.roll.below(t.rows.rows.size() - 2)); }},
  };
}

const std::vector<mutation>& mutations() {
  static const auto all = [] {
    auto out = edits();
    for (const auto& more : {removals_and_insertions(), signed_anew()})
      out.insert(out.end(), more.begin(), more.end());
    return out;
  }();
  return all;
}

/// What `verify` says to an auditor who knows so much.
replay::verify_report look(const tampered& t, knows what) {
  replay::verify_options options;
  options.offsets_without_gaps = true;
  if (what >= knows::key)
    options.trusted = {signing_key().public_part()};
  if (what == knows::heads)
    for (const auto& head : t.heads)
      options.kept.push_back({"kept", head});
  return replay::verify(t.rows, options);
}

/// The head that an auditor has is often not the newest; it must cover the change.
std::string describe(const replay::verify_report& report) {
  std::string out;
  for (const auto& f : report.findings)
    out += std::string{to_string(f.kind)} + " " + f.stream.value + ":" + std::to_string(f.seq)
           + " @" + std::to_string(f.offset) + " " + f.what + "\n";
  return out;
}

constexpr std::size_t mutations_of_a_ledger = 250;

void tamper_with_one(std::uint64_t seed, std::map<std::string, int>& done) {
  memory_log log;
  dice roll{seed};
  auto steps = 60 + roll.below(200);
  // Signatures are what costs: many heads seldom, a few mostly.
  auto every = seed % 8 == 0 ? 10 + roll.below(20) : steps / (2 + roll.below(3));
  const signed_history history{log, seed, steps, every};
  const rows_log sound{log};
  const tampered untouched{sound, history.heads(), dice{seed}};
  auto clean = look(untouched, knows::heads);
  ASSERT_EQ(clean.found, 0u) << describe(clean);
  ASSERT_EQ(clean.kept_matched, history.heads().size());
  ASSERT_EQ(clean.unsigned_events, 0u);
  for (std::size_t i = 0; i < mutations_of_a_ledger; ++i) {
    const auto& kind = mutations()[(seed + i) % mutations().size()];
    tampered t{sound, history.heads(), dice{mix(seed, i)}};
    if (!kind.apply(t))
      continue;
    ++done[kind.name];
    auto report = look(t, kind.needs);
    ASSERT_GT(report.found, 0u) << kind.name << ", the " << i << "th change, was not found";
    ASSERT_FALSE(report.findings.empty());
    if (kind.needs != knows::nothing) {
      auto blind = look(t, knows::nothing);
      ASSERT_TRUE(blind.found == 0 || blind.findings[0].kind == finding_kind::time_went_back)
          << kind.name << " is found without what it needs, so it proves nothing:\n"
          << describe(blind);
    }
  }
}

TEST(audit_mutations, are_all_found) {
  const auto wanted = number_from_environment("AUDIT_MUTATIONS", 10'000);
  std::map<std::string, int> done;
  for_each_seed(1, wanted / mutations_of_a_ledger + 2,
                [&](std::uint64_t seed) { tamper_with_one(seed, done); });
  if (HasFailure() || number_from_environment("TEST_SEED", 0) != 0)
    return;
  int all = 0;
  for (const auto& kind : mutations()) {
    EXPECT_GT(done[kind.name], 0) << kind.name << " never fitted";
    all += done[kind.name];
  }
  EXPECT_GE(all, static_cast<int>(wanted));
}

// Goal: a topic in which zombies left their rows, with gaps for a reader, is as sound as any.
TEST(audit_mutations, refused_rows_accuse_nobody) {
  for_each_seed(1, 50, [](std::uint64_t seed) {
    memory_log log;
    const signed_history history{log, seed, 100, 20};
    auto rows = log.raw(0);
    std::vector<record> again;
    for (std::size_t i = 0; i < rows.size(); i += 3) {
      again.push_back(*rows[i]);
      again.back().event.data += ' ';
    }
    log.inject(again);
    replay::verify_options options;
    options.trusted = {signing_key().public_part()};
    auto report = replay::verify(log, options);
    ASSERT_EQ(report.found, 0u) << describe(report);
    ASSERT_GT(report.tree_heads, 0u);
  });
}

} // namespace

} // namespace runledger::test
