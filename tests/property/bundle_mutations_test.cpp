// Goal: whoever changes a bundle is found by both verifiers, ours and the script that the docs
// print, and neither accuses a sound one. Changes are random edits, deletions, insertions, swaps
// and truncations of its lines and bytes, by somebody who leaves the last line alone or by a forger
// who makes counts and digest right again. BUNDLE_MUTATIONS=n makes another number.

#include "events/json.hpp"
#include "tests/support/bundles.hpp"
#include "tests/support/rows_log.hpp"
#include "tests/support/seeds.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/signed_history.hpp"

#include <fmt/format.h>

#include <fstream>
#include <set>

namespace runledger::test::bundles {

namespace {

struct changed_bundle {
  std::vector<std::string> lines;
  dice roll;

  static bool is_event(const std::string& line) { return line.starts_with(R"({"kind":"event")"); }
  std::vector<std::size_t> events() const {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < lines.size(); ++i)
      if (is_event(lines[i]))
        out.push_back(i);
    return out;
  }
  std::size_t some_event() { return roll.pick(events()); }
  static std::string stream_of(const std::string& line) {
    const auto begin = line.find("\"subject\":\"") + 11;
    return line.substr(begin, line.find('"', begin) - begin);
  }
  /// An event that is not the last of its stream, nor of the bundle.
  std::size_t some_inner_event() {
    std::vector<std::size_t> out;
    std::set<std::string> behind;
    const auto all = events();
    for (auto i = all.size(); i-- > 0;)
      if (!behind.insert(stream_of(lines[all[i]])).second)
        out.push_back(all[i]);
    return out.empty() ? 0 : roll.pick(out);
  }
  /// Puts other characters into the value of a member of the line.
  bool edit(std::size_t i, const std::string& member, bool hex = false) {
    const auto name = '"' + member + "\":";
    auto at = lines[i].find(name);
    if (at == std::string::npos)
      return false;
    at += name.size();
    auto end = lines[i].find_first_of(",}", at);
    std::size_t quote = lines[i][at] == '"' ? 1 : 0;
    if (end - at <= 2 * quote)
      return false;
    auto& c = lines[i][at + quote + roll.below(end - at - 2 * quote)];
    const char other[] = {c == '7' ? '4' : '7', c == 'b' ? 'd' : 'b'};
    c = other[quote != 0 && !hex && roll.coin() ? 1 : 0];
    return true;
  }
  void erase(std::size_t i) { lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(i)); }
};

/// A kind of change; false: it does not fit this bundle.
struct mutation {
  const char* name;
  bool forger; ///< Makes the counts and the last line right again.
  bool (*apply)(changed_bundle&);
};

/// Changes of any line, which the digest tells.
std::vector<mutation> clumsy() {
  return {
      {"a byte is another", false,
       [](changed_bundle& b) {
         auto& line = b.lines[b.roll.below(b.lines.size())];
         auto& c = line[b.roll.below(line.size())];
         c = c == 'x' ? 'y' : 'x';
         return true;
       }},
      {"a byte is gone", false,
       [](changed_bundle& b) {
         auto& line = b.lines[b.roll.below(b.lines.size())];
         line.erase(b.roll.below(line.size()), 1);
         return true;
       }},
      {"white space is put in", false,
       [](changed_bundle& b) {
         auto& line = b.lines[b.roll.below(b.lines.size())];
         line.insert(b.roll.below(line.size() + 1), 1, ' ');
         return true;
       }},
      {"a line is gone", false,
       [](changed_bundle& b) {
         b.erase(b.roll.below(b.lines.size()));
         return true;
       }},
      {"a line stands twice", false,
       [](changed_bundle& b) {
         const auto i = b.roll.below(b.lines.size());
         b.lines.insert(b.lines.begin() + static_cast<std::ptrdiff_t>(b.roll.below(b.lines.size())),
                        std::string{b.lines[i]});
         return true;
       }},
      {"a line is put in", false,
       [](changed_bundle& b) {
         const char* more[] = {"", "{}", "null", "{\"kind\":\"note\"}", "[1", "\xff\xfe"};
         b.lines.insert(b.lines.begin()
                            + static_cast<std::ptrdiff_t>(b.roll.below(b.lines.size() + 1)),
                        more[b.roll.below(std::size(more))]);
         return true;
       }},
      {"two lines are swapped", false,
       [](changed_bundle& b) {
         const auto i = b.roll.below(b.lines.size()), j = b.roll.below(b.lines.size());
         std::swap(b.lines[i], b.lines[j]);
         return i != j;
       }},
      {"the end is cut off", false,
       [](changed_bundle& b) {
         b.lines.resize(b.roll.below(b.lines.size()));
         return true;
       }},
  };
}

const char* const attributes[] = {"id",        "source",       "type",       "subject",  "time",
                                  "sequence",  "partitionkey", "principal",  "datahash", "prevhash",
                                  "eventhash", "data_base64",  "causationid"};

/// Changes of events whose traces a forger removes as well as he can.
std::vector<mutation> forged_events() {
  return {
      {"an attribute", true,
       [](changed_bundle& b) {
         return b.edit(b.some_event(), attributes[b.roll.below(std::size(attributes))]);
       }},
      {"the place in the tree", true,
       [](changed_bundle& b) {
         const auto i = b.some_event();
         return b.lines[i].find("\"path\":[\"") != std::string::npos && b.edit(i, "leaf");
       }},
      {"the partition", true,
       [](changed_bundle& b) {
         const auto i = b.some_event();
         return b.lines[i].find("\"path\":[\"") != std::string::npos && b.edit(i, "partition");
       }},
      {"a proof", true,
       [](changed_bundle& b) {
         const auto i = b.some_event();
         const auto at = b.lines[i].find("\"path\":[\"");
         if (at == std::string::npos)
           return false;
         auto& c = b.lines[i][at + 9 + b.roll.below(64)];
         c = c == '0' ? '1' : '0';
         return true;
       }},
      {"a proof is gone", true,
       [](changed_bundle& b) {
         auto& line = b.lines[b.some_event()];
         const auto at = line.find("\"path\":");
         if (at == std::string::npos)
           return false;
         line.erase(at, line.find("\"event\":") - at);
         return true;
       }},
      {"a member more", true,
       [](changed_bundle& b) {
         auto& line = b.lines[b.some_event()];
         line.insert(line.find("\"source\""), R"("note":"x",)");
         return true;
       }},
      {"a member twice", true,
       [](changed_bundle& b) {
         auto& line = b.lines[b.some_event()];
         line.insert(line.find("\"source\""), R"("principal":"key_x",)");
         return true;
       }},
  };
}

/// Likewise: events that are moved, and what vouches for them.
std::vector<mutation> forged_order_and_heads() {
  return {
      {"an inner event is gone", true,
       [](changed_bundle& b) {
         const auto i = b.some_inner_event();
         if (i > 0)
           b.erase(i);
         return i > 0;
       }},
      {"two events are swapped", true,
       [](changed_bundle& b) {
         const auto i = b.some_event(), j = b.some_event();
         std::swap(b.lines[i], b.lines[j]);
         return i != j;
       }},
      {"an event stands twice", true,
       [](changed_bundle& b) {
         const auto i = b.some_event(), j = b.some_event();
         b.lines.insert(b.lines.begin() + static_cast<std::ptrdiff_t>(j), std::string{b.lines[i]});
         return true;
       }},
      {"the head", true,
       [](changed_bundle& b) {
         const char* members[] = {"sequence", "prevhash",    "time", "tree_size", "root",
                                  "ledger",   "last_offset", "node", "key",       "signature"};
         for (std::size_t i = 0; i < b.lines.size(); ++i)
           if (b.lines[i].starts_with(R"({"kind":"tree_head")"))
             return b.edit(i, members[b.roll.below(std::size(members))], true);
         return false;
       }},
      {"the head is gone", true,
       [](changed_bundle& b) {
         const auto before = b.lines.size();
         const bool matters = std::ranges::any_of(
             b.lines, [](const auto& line) { return line.find("\"path\"") != std::string::npos; });
         std::erase_if(b.lines, [](const std::string& line) {
           return line.starts_with(R"({"kind":"tree_head")");
         });
         return matters && b.lines.size() < before;
       }},
      {"the key", true,
       [](changed_bundle& b) {
         for (std::size_t i = 0; i < b.lines.size(); ++i)
           if (b.lines[i].starts_with(R"({"kind":"key")"))
             return b.edit(i, b.roll.coin() ? "public_key" : "fingerprint", true);
         return false;
       }},
      {"the key is gone", true,
       [](changed_bundle& b) {
         return std::erase_if(
                    b.lines,
                    [](const std::string& line) { return line.starts_with(R"({"kind":"key")"); })
                > 0;
       }},
      {"the ledger", true,
       [](changed_bundle& b) {
         return b.lines[1].starts_with(R"({"kind":"key")") && b.edit(0, "ledger");
       }},
  };
}

/// Of a bundle whose events are all signed: the number of events under its newest head. None: of
/// another.
std::optional<std::uint64_t> signed_size(const changed_bundle& b) {
  if (b.lines[0].find("\"unsigned_events\":0}") == std::string::npos)
    return std::nullopt;
  const auto line = json::parse(b.lines[2]);
  const auto head = line->root().find("head");
  const auto size = head ? head->find("tree_size")->integer() : std::nullopt;
  return size ? std::optional{static_cast<std::uint64_t>(*size)} : std::nullopt;
}

/// What was signed is called unsigned.
std::vector<mutation> forged_signatures() {
  return {
      {"an edit, and all behind it is called unsigned", true,
       [](changed_bundle& b) {
         const auto leaf = signed_size(b);
         const bool is_stretch = b.lines[0].find(R"("asked":{"since")") != std::string::npos;
         const auto i = is_stretch ? b.events().front() : b.some_event();
         if (!leaf || !b.edit(i, "principal"))
           return false;
         call_unsigned(b.lines, i, *leaf);
         return true;
       }},
      {"all keys, heads and proofs are gone", true,
       [](changed_bundle& b) {
         const bool was_signed = signed_size(b).has_value();
         strip_signatures(b.lines);
         return was_signed;
       }},
  };
}

/// The first line that is of that kind, and has the text; none: 0.
std::size_t line_with(const changed_bundle& b, std::string_view text) {
  for (std::size_t i = 0; i < b.lines.size(); ++i)
    if (b.lines[i].find(text) != std::string::npos)
      return i;
  return 0;
}

bool put_behind(std::string& line, std::string_view text, std::string_view more) {
  const auto at = line.find(text);
  if (at != std::string::npos)
    line.insert(at + text.size(), more);
  return at != std::string::npos;
}

/// Whole streams are left out, and more is asked for.
std::vector<mutation> forged_streams() {
  return {
      {"all events are gone", true,
       [](changed_bundle& b) { return std::erase_if(b.lines, changed_bundle::is_event) > 0; }},
      {"a stream that was asked for is gone", true,
       [](changed_bundle& b) {
         const std::string name = b.roll.coin() ? "\"run\":\"" : "\"session\":\"";
         const auto& first = b.lines[0];
         const auto begin = first.find(name);
         if (begin == std::string::npos)
           return false;
         const auto at = begin + name.size();
         const auto stream = first.substr(at, first.find('"', at) - at);
         return std::erase_if(b.lines,
                              [&](const std::string& line) {
                                return changed_bundle::is_event(line)
                                       && changed_bundle::stream_of(line) == stream;
                              })
                > 0;
       }},
      {"the beginning of a stream is gone, as if a time was asked for", true,
       [](changed_bundle& b) {
         const auto end = b.lines[0].find("\"},\"made_at\"");
         if (b.lines[0].find("\"session\":") == std::string::npos || end == std::string::npos)
           return false;
         b.lines[0].insert(end + 1, b.roll.coin() ? R"(,"since":"1970-01-01T00:00:00.000Z")"
                                                  : R"(,"until":"2100-01-01T00:00:00.000Z")");
         b.erase(b.events().front());
         return true;
       }},
  };
}

/// Members are put in, or are of another type.
std::vector<mutation> forged_forms() {
  return {
      {"a member more in the first line", true,
       [](changed_bundle& b) {
         return put_behind(b.lines[0], b.roll.coin() ? "{" : "\"asked\":{", R"("note":"x",)");
       }},
      {"a member more in a head or key", true,
       [](changed_bundle& b) {
         if (b.roll.coin())
           return put_behind(b.lines[line_with(b, R"({"kind":"key")")], R"({"kind":"key",)",
                             R"("note":"x",)");
         return put_behind(b.lines[line_with(b, R"({"kind":"tree_head")")],
                           b.roll.coin() ? "\"head\":{" : R"({"kind":"tree_head",)",
                           R"("note":"x",)");
       }},
      {"a proof of the newest head", true,
       [](changed_bundle& b) {
         return put_behind(b.lines[line_with(b, R"({"kind":"tree_head")")],
                           R"({"kind":"tree_head",)", R"("consistency":[],)");
       }},
      {"a number is a text, or a fraction", true,
       [](changed_bundle& b) {
         const char* members[] = {"\"sequence\":", "\"tree_size\":", "\"last_offset\":",
                                  "\"leaf\":",     "\"offset\":",    "\"version\":"};
         const auto which = b.roll.below(std::size(members));
         auto& line = b.lines[which < 3   ? line_with(b, R"({"kind":"tree_head")")
                              : which < 5 ? b.some_event()
                                          : 0];
         const auto at = line.find(members[which]);
         if (at == std::string::npos)
           return false;
         const auto begin = at + std::string_view{members[which]}.size();
         const auto end = line.find_first_of(",}", begin);
         const auto number = line.substr(begin, end - begin);
         line.replace(begin, end - begin, b.roll.coin() ? '"' + number + '"' : number + ".0");
         return true;
       }},
      {"a proof in capitals", true,
       [](changed_bundle& b) {
         auto& line = b.lines[b.some_event()];
         const auto at = line.find("\"path\":[\"");
         const auto letter = at == std::string::npos ? at : line.find_first_of("abcdef", at + 9);
         if (letter == std::string::npos || letter > line.find(']', at))
           return false;
         line[letter] = static_cast<char>(line[letter] - 'a' + 'A');
         return true;
       }},
  };
}

const std::vector<mutation>& mutations() {
  static const auto all = [] {
    auto out = clumsy();
    for (const auto& more : {forged_events(), forged_order_and_heads(), forged_signatures(),
                             forged_streams(), forged_forms()})
      out.insert(out.end(), more.begin(), more.end());
    return out;
  }();
  return all;
}

/// Whole streams or a stretch of time, of a ledger whose newest events may be unsigned yet.
std::string some_bundle(std::uint64_t seed) {
  memory_log log;
  dice roll{seed};
  const signed_history history{log, seed, 40 + roll.below(120), 10 + roll.below(40)};
  rows_log rows{log};
  if (roll.coin())
    rows.rows.pop_back();
  replay::selection what;
  const auto& some = rows.rows[rows.rows.size() / 2].event;
  switch (roll.below(5)) {
    case 0:
      what.since = from_ms(0);
      break;
    case 1:
      what.since = rows.rows[rows.rows.size() / 4].event.time;
      break;
    case 2:
      what.workspace.value = "default";
      break;
    case 3: {
      const auto run = std::ranges::find_if(
          rows.rows, [](const record& r) { return kind_of(r.event.stream) == stream_kind::run; });
      what.run.value = run->event.stream.value, what.session.value = run->event.partition_key;
      break;
    }
    default:
      if (kind_of(some.stream) == stream_kind::partition)
        what.since = from_ms(0);
      else
        what.session.value = some.partition_key;
  }
  std::vector<replay::kept_head> kept;
  if (roll.coin() && history.heads().size() > 2)
    kept.push_back({"kept", history.heads()[1]});
  return bundle_of(rows, what, std::move(kept));
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines)
    out += line + '\n';
  return out;
}

/// The exit code that `audit verify --bundle` has for it.
int code_of(const std::string& bundle, bool allow_unsigned = false) {
  replay::bundle_check_options options;
  options.allow_unsigned = allow_unsigned;
  const auto report = check_of(bundle, options);
  return !report ? 2 : report->found > 0 ? 1 : 0;
}

/// What the script says to each file of a folder, by name.
std::map<std::string, int> script_codes(const std::string& folder, bool allow_unsigned = false) {
  const auto said = shell_apart(fmt::format("python3 -B '{0}/tests/support/bundle_verdicts.py' "
                                            "'{0}/examples/audit/verify_bundle.py' '{1}' {2}",
                                            RUNLEDGER_SOURCE_DIR, folder,
                                            allow_unsigned ? "--allow-unsigned" : ""));
  EXPECT_EQ(said.exit_code, 0) << said.error;
  std::map<std::string, int> out;
  std::istringstream lines{said.out};
  std::string name;
  for (int code = 0, behind = 0; lines >> name >> code >> behind;)
    out[name] = code;
  return out;
}

constexpr std::size_t mutations_of_a_bundle = 50;

void change_one(std::uint64_t seed, std::map<std::string, int>& done) {
  const temp_folder folder;
  const auto sound = some_bundle(seed);
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream{folder / name, std::ios::binary} << text;
  };
  const bool is_signed = sound.find("\"unsigned_events\":0}") != std::string::npos;
  ASSERT_EQ(code_of(sound, !is_signed), 0) << sound;
  ASSERT_EQ(code_of(sound), is_signed ? 0 : 1) << sound;
  write("sound", sound);
  std::map<std::string, const char*> kinds;
  for (std::size_t i = 0; i < mutations_of_a_bundle; ++i) {
    const auto& kind = mutations()[(seed * mutations_of_a_bundle + i) % mutations().size()];
    changed_bundle b{lines_of_bundle(sound), dice{mix(seed, i)}};
    if (!kind.apply(b))
      continue;
    const auto text = kind.forger ? bundle_from(b.lines) : joined(b.lines);
    if (text == sound)
      continue;
    ++done[kind.name];
    const auto name = "change-" + std::to_string(i);
    kinds[name] = kind.name;
    write(name, text);
    ASSERT_NE(code_of(text, !is_signed), 0)
        << kind.name << ", the " << i << "th change, was not found\n"
        << text;
  }
  if (!is_signed) {
    ASSERT_EQ(script_codes(folder.path()).at("sound"), 1);
  }
  const auto codes = script_codes(folder.path(), !is_signed);
  ASSERT_EQ(codes.size(), kinds.size() + 1);
  ASSERT_EQ(codes.at("sound"), 0) << sound;
  for (const auto& [name, kind] : kinds)
    ASSERT_NE(codes.at(name), 0) << kind << ", " << name << ", was not found by the script";
}

TEST(bundle_mutations, are_all_found_by_both_verifiers) {
  const auto wanted = number_from_environment("BUNDLE_MUTATIONS", 1'000);
  std::map<std::string, int> done;
  for_each_seed(1, wanted / mutations_of_a_bundle,
                [&](std::uint64_t seed) { change_one(seed, done); });
  if (HasFailure() || number_from_environment("TEST_SEED", 0) != 0)
    return;
  for (const auto& kind : mutations())
    EXPECT_GT(done[kind.name], 0) << kind.name << " never fitted";
}

// Goal: a bundle that is cut off anywhere cannot be checked: no cut of one is a smaller one.
TEST(bundle_mutations, no_cut_of_a_bundle_is_a_bundle) {
  const auto sound = some_bundle(3);
  dice roll{3};
  for (int i = 0; i < 500; ++i)
    ASSERT_EQ(code_of(sound.substr(0, roll.below(sound.size()))), 2);
  const temp_folder folder;
  for (int i = 0; i < 50; ++i)
    std::ofstream{folder / std::to_string(i), std::ios::binary}
        << sound.substr(0, roll.below(sound.size()));
  for (const auto& [name, code] : script_codes(folder.path()))
    EXPECT_EQ(code, 2) << name;
}

} // namespace

} // namespace runledger::test::bundles
