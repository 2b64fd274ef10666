#include "projections/replay/bundle_check.hpp"

#include "events/base64.hpp"
#include "tests/support/bundles.hpp"
#include "tests/support/rows_log.hpp"
#include "tests/support/signed_history.hpp"

#include <gmock/gmock.h>

namespace runledger::replay {

namespace {

using test::bundle_from;
using test::bundle_of;
using test::call_unsigned;
using test::check_of;
using test::lines_of_bundle;
using test::strip_signatures;
using ::testing::HasSubstr;

class bundle_test : public ::testing::Test {
protected:
  bundle_test() {
    all.since = from_ms(0);
    for (const auto& r : rows.rows)
      if (kind_of(r.event.stream) == stream_kind::run && r.event.seq == 3)
        run = run_id{r.event.stream.value}, session = session_id{r.event.partition_key};
    of_run.run = run, of_run.session = session;
    of_session.session = session;
    of_workspace.workspace.value = "default";
  }

  /// What a sound bundle says.
  bundle_report sound(const std::string& bundle, const bundle_check_options& options = {}) {
    auto report = check_of(bundle, options);
    EXPECT_TRUE(report) << report.error();
    for (const auto& f : report->findings)
      ADD_FAILURE() << f.what;
    return *report;
  }
  /// The first finding of a bundle that is not.
  finding first_of(const std::string& bundle, const bundle_check_options& options = {}) {
    const auto report = check_of(bundle, options);
    EXPECT_TRUE(report) << report.error();
    EXPECT_GT(report->found, 0u);
    return report && report->found > 0 ? report->findings.front() : finding{};
  }
  std::size_t rows_of(auto&& counts) const {
    return static_cast<std::size_t>(std::ranges::count_if(rows.rows, counts));
  }
  static std::size_t line_of(const std::vector<std::string>& lines, std::string_view text) {
    for (std::size_t i = 0; i < lines.size(); ++i)
      if (lines[i].find(text) != std::string::npos)
        return i;
    ADD_FAILURE() << "no line has " << text;
    return 1;
  }

  memory_log log;
  test::signed_history history{log, 11, 200, 40};
  test::rows_log rows{log};
  run_id run;
  session_id session;
  selection all, of_run, of_session, of_workspace;
};

bool is_own(const record& r) {
  return kind_of(r.event.stream) == stream_kind::partition;
}

// Goal: each selection takes what it says, all of it, and all of it is proven.
TEST_F(bundle_test, holds_what_was_asked_for) {
  const auto everything = sound(bundle_of(rows, all));
  EXPECT_EQ(everything.events, rows_of([](const record& r) { return !is_own(r); }));
  EXPECT_EQ(everything.signed_events, everything.events);
  EXPECT_EQ(everything.unsigned_events, 0u);
  EXPECT_EQ(everything.tree_heads, 1u);
  EXPECT_EQ(everything.ledger, history.heads().front().ledger);
  const auto one = sound(bundle_of(rows, of_run));
  EXPECT_EQ(one.streams, 2u);
  EXPECT_EQ(one.events, rows_of([&](const record& r) {
              return r.event.stream.value == run.value || r.event.stream.value == session.value;
            }));
  const auto of_one_session = sound(bundle_of(rows, of_session));
  EXPECT_EQ(of_one_session.events,
            rows_of([&](const record& r) { return r.event.partition_key == session.value; }));
  EXPECT_GE(of_one_session.streams, 2u);
  const auto space = sound(bundle_of(rows, of_workspace));
  EXPECT_EQ(space.events,
            rows_of([](const record& r) { return r.event.workspace.value == "default"; }));
}

// Goal: a time takes the stretch between, without a gap, and streams begin in their middle.
TEST_F(bundle_test, holds_a_stretch_of_time) {
  selection part;
  part.since = rows.rows[rows.rows.size() / 3].event.time;
  part.until = rows.rows[rows.rows.size() * 2 / 3].event.time;
  ASSERT_LT(*part.since, *part.until);
  const auto report = sound(bundle_of(rows, part));
  EXPECT_GT(report.events, 10u);
  EXPECT_EQ(report.events, rows_of([&](const record& r) {
              return !is_own(r) && r.event.time >= *part.since && r.event.time < *part.until;
            }));
  part.workspace.value = "default";
  EXPECT_GT(sound(bundle_of(rows, part)).events, 10u);
}

// Goal: what no head covers yet is in the bundle, is told as such, and is believed only by who says
// so.
TEST_F(bundle_test, tells_what_is_only_chained) {
  ASSERT_EQ(rows.rows.back().event.type, full_type(tree_head::name, 1));
  rows.rows.pop_back();
  const auto covered = history.heads()[history.heads().size() - 2].tree_size;
  const auto bundle = bundle_of(rows, all);
  bundle_check_options options;
  EXPECT_EQ(first_of(bundle, options).kind, finding_kind::unsigned_events);
  EXPECT_EQ(check_of(bundle, options)->found, 1u);
  options.allow_unsigned = true;
  const auto report = sound(bundle, options);
  EXPECT_THAT(first_of(bundle).what, HasSubstr(std::to_string(report.unsigned_events)
                                               + " events stand under no signed head"));
  EXPECT_EQ(report.signed_events, covered);
  EXPECT_EQ(report.unsigned_events, report.events - covered);
  EXPECT_GT(report.unsigned_events, 0u);
  EXPECT_THAT(lines_of_bundle(bundle).front(),
              HasSubstr("\"unsigned_events\":" + std::to_string(report.unsigned_events)));
  std::erase_if(rows.rows,
                [](const record& r) { return r.event.type == full_type(tree_head::name, 1); });
  const auto bare = sound(bundle_of(rows, of_session), options);
  EXPECT_EQ(bare.signed_events, 0u);
  EXPECT_EQ(bare.unsigned_events, bare.events);
}

// Goal: heads that were kept are tied in by consistency proofs, and vouch for what they cover.
TEST_F(bundle_test, is_tied_to_heads_that_were_kept) {
  bundle_check_options options;
  options.trusted = {test::signing_key().public_part()};
  options.kept = {{"kept.jsonl, line 1", history.heads()[0]},
                  {"kept.jsonl, line 2", history.heads()[2]}};
  const auto tied = bundle_of(rows, all, options.kept);
  const auto report = sound(tied, options);
  EXPECT_EQ(report.kept_matched, 2u);
  EXPECT_EQ(report.tree_heads, 3u);
  EXPECT_EQ(report.kept_events, history.heads()[2].tree_size);
  options.kept.push_back({"kept.jsonl, line 3", history.heads()[1]});
  EXPECT_THAT(first_of(tied, options).what,
              HasSubstr("kept.jsonl, line 3: the bundle is not tied"));
  auto lines = lines_of_bundle(tied);
  auto& older = lines[line_of(lines, "consistency")];
  const auto at = older.find("consistency") + 16;
  older[at] = older[at] == '0' ? '1' : '0';
  options.kept.clear();
  EXPECT_EQ(first_of(bundle_from(lines), options).kind, finding_kind::other_events);
}

// Goal: a head that was kept and that the ledger does not hold ends the export.
TEST_F(bundle_test, is_not_made_against_another_history) {
  auto other = history.heads()[1];
  other.root.bytes[0] ^= 1;
  bundle_options options;
  options.what = all;
  options.kept = {{"mine.jsonl, line 7", other}};
  options.folder = "/tmp";
  options.write = [](std::string_view) { return true; };
  const auto done = write_bundle(rows, options);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, export_error::kind::unsound);
  EXPECT_THAT(done.error().detail, HasSubstr("mine.jsonl, line 7"));
}

// Goal: nothing is exported that would not verify: damage is told with its place, other history as
// such, and nothing found as nothing.
TEST_F(bundle_test, is_not_made_of_an_unsound_ledger) {
  bundle_options options;
  options.what = of_run;
  options.folder = "/tmp";
  options.write = [](std::string_view) { return true; };
  auto& victim = *std::ranges::find_if(rows.rows, [&](const record& r) {
    return r.event.stream.value == run.value && r.event.seq == 2;
  });
  const auto untouched = victim;
  victim.event.data += ' ';
  auto done = write_bundle(rows, options);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, export_error::kind::ledger);
  EXPECT_EQ(done.error().why.stream.value, run.value);
  EXPECT_EQ(done.error().why.seq, 2u);
  EXPECT_EQ(done.error().why.offset, victim.offset);
  rows.rehash(victim.event.stream);
  done = write_bundle(rows, options);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, export_error::kind::unsound);
  rows.sign_anew(ed25519::private_key::from_seed(sha256("a stranger's")));
  done = write_bundle(rows, options);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, export_error::kind::unsound);
  options.what.run.value = options.what.session.value = "sess_nobody";
  rows = test::rows_log{log};
  done = write_bundle(rows, options);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, export_error::kind::nothing);
}

// Goal: the first bad place is told by stream, seq, offset and line.
TEST_F(bundle_test, names_the_place) {
  auto lines = lines_of_bundle(bundle_of(rows, of_run));
  const auto at = line_of(lines, "\"id\":\"" + run.value + ":2\"");
  const auto& row = *std::ranges::find_if(rows.rows, [&](const record& r) {
    return r.event.stream.value == run.value && r.event.seq == 2;
  });
  const auto begin = lines[at].find("\"principal\":\"") + 13;
  lines[at].insert(begin, "x");
  const auto report = check_of(bundle_from(lines));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->found, 1u) << "one change is told once";
  EXPECT_EQ(report->signed_events, report->events - 1) << "what was changed is not signed";
  const auto f = first_of(bundle_from(lines));
  EXPECT_EQ(f.kind, finding_kind::damaged);
  EXPECT_EQ(f.stream.value, run.value);
  EXPECT_EQ(f.seq, 2u);
  EXPECT_EQ(f.offset, row.offset);
  EXPECT_THAT(f.what, HasSubstr("line " + std::to_string(at + 1) + ": "));
}

// Goal: a stream that is there is there from its first event on, without a gap.
TEST_F(bundle_test, misses_what_was_left_out) {
  const auto lines = lines_of_bundle(bundle_of(rows, of_run));
  auto headless = lines, holed = lines;
  headless.erase(headless.begin()
                 + static_cast<std::ptrdiff_t>(line_of(lines, '"' + run.value + ":1\"")));
  EXPECT_THAT(first_of(bundle_from(headless)).what, HasSubstr("before it are not there"));
  holed.erase(holed.begin()
              + static_cast<std::ptrdiff_t>(line_of(lines, '"' + run.value + ":2\"")));
  EXPECT_THAT(first_of(bundle_from(holed)).what, HasSubstr("stands behind event 1"));
  auto stretch = lines_of_bundle(bundle_of(rows, all));
  stretch.erase(stretch.begin() + static_cast<std::ptrdiff_t>(stretch.size() / 2));
  EXPECT_EQ(first_of(bundle_from(stretch)).kind == finding_kind::missing
                || first_of(bundle_from(stretch)).kind == finding_kind::refused,
            true);
}

// Goal: neither all events nor a whole stream that was asked for can be left out, and what is asked
// for is what the exporter takes.
TEST_F(bundle_test, misses_a_whole_stream) {
  const auto lines = lines_of_bundle(bundle_of(rows, of_run));
  const auto without = [&](const std::string& text) {
    auto rest = lines;
    std::erase_if(rest, [&](const auto& line) { return line.find(text) != std::string::npos; });
    return bundle_from(rest);
  };
  EXPECT_THAT(first_of(without(R"({"kind":"event")")).what, HasSubstr("it holds no event"));
  for (const auto& stream : {run.value, session.value}) {
    const auto f = first_of(without("\"subject\":\"" + stream + '"'));
    EXPECT_EQ(f.kind, finding_kind::missing);
    EXPECT_THAT(f.what, HasSubstr("nothing is there of " + stream));
  }
  const auto asks = [&](const std::string& text) {
    auto other = lines;
    auto& first = other.front();
    const auto at = first.find("\"asked\":") + 8;
    first.replace(at, first.find('}', at) + 1 - at, text);
    const auto report = check_of(bundle_from(other));
    return report ? "it was checked" : report.error();
  };
  const auto both = "\"run\":\"" + run.value + R"(","session":")" + session.value + '"';
  EXPECT_EQ(asks('{' + both + '}'), "it was checked");
  for (const auto* more : {R"(,"since":"1970-01-01T00:00:00.000Z")", R"(,"workspace":"default")",
                           R"(,"until":"2100-01-01T00:00:00.000Z")", R"(,"note":"x")"})
    EXPECT_THAT(asks('{' + both + more + '}'), HasSubstr("what no bundle can say")) << more;
  EXPECT_THAT(asks("{\"run\":\"" + run.value + "\"}"), HasSubstr("what no bundle can say"));
  EXPECT_THAT(asks("{}"), HasSubstr("what no bundle can say"));
}

// Goal: whoever takes the head away cannot call the events signed, and whoever signs himself is
// not believed by who brought the key along.
TEST_F(bundle_test, believes_no_stranger) {
  const auto lines = lines_of_bundle(bundle_of(rows, all));
  auto bare = lines;
  std::erase_if(bare,
                [](const std::string& line) { return line.starts_with(R"({"kind":"tree_head")"); });
  EXPECT_EQ(first_of(bundle_from(bare)).kind, finding_kind::other_events);
  strip_signatures(bare);
  EXPECT_EQ(first_of(bundle_from(bare)).kind, finding_kind::unsigned_events);
  bundle_check_options lenient;
  lenient.allow_unsigned = true;
  const auto unproven = sound(bundle_from(bare), lenient);
  EXPECT_EQ(unproven.signed_events, 0u);
  EXPECT_EQ(unproven.unsigned_events, unproven.events);

  const auto other = ed25519::private_key::from_seed(sha256("a stranger's"));
  auto head = history.heads().back();
  head.key = other.public_part().fingerprint();
  head.signature = to_base64(other.sign(signed_bytes(head)));
  auto forged = lines;
  forged[line_of(lines, "\"kind\":\"tree_head\"")] =
      R"({"kind":"tree_head","head":)" + to_line(head) + "}";
  EXPECT_EQ(first_of(bundle_from(forged)).kind, finding_kind::head_signature);
  forged[line_of(lines, "\"kind\":\"key\"")] = R"({"kind":"key","node":"node-1","fingerprint":")"
                                               + to_hex(head.key) + R"(","public_key":")"
                                               + to_base64(other.public_part().der()) + "\"}";
  EXPECT_EQ(sound(bundle_from(forged)).found, 0u) << "so the forgery is perfect without the key";
  bundle_check_options options;
  options.trusted = {test::signing_key().public_part()};
  EXPECT_EQ(first_of(bundle_from(forged), options).kind, finding_kind::head_signature);
}

// Goal: whoever edits a signed event and calls it and all later ones unsigned is found, whatever
// the auditor brought along.
TEST_F(bundle_test, believes_no_event_that_is_called_unsigned) {
  bundle_check_options options;
  options.trusted = {test::signing_key().public_part()};
  options.kept = {{"kept.jsonl, line 1", history.heads()[0]}};
  auto lines = lines_of_bundle(bundle_of(rows, of_run, options.kept));
  const auto at = line_of(lines, "\"id\":\"" + run.value + ":2\"");
  lines[at].insert(lines[at].find("\"principal\":\"") + 13, "x");
  call_unsigned(lines, at, history.heads().back().tree_size);
  const auto forged = bundle_from(lines);
  EXPECT_EQ(check_of(forged, options)->found, 1u);
  EXPECT_EQ(first_of(forged, options).kind, finding_kind::unsigned_events);
}

// Goal: what is no bundle, is of a newer format or was cut off cannot be checked, and says why.
TEST_F(bundle_test, tells_what_it_cannot_check) {
  const auto whole = bundle_of(rows, of_run);
  const auto why = [](const std::string& text) {
    const auto report = check_of(text);
    return report ? std::string{"it was checked"} : report.error();
  };
  EXPECT_THAT(why(""), HasSubstr("empty"));
  EXPECT_THAT(why("PK\3\4"), HasSubstr("no bundle"));
  EXPECT_THAT(why("{}\n"), HasSubstr("no bundle"));
  EXPECT_THAT(why(whole.substr(0, whole.size() / 2)), HasSubstr("cut off"));
  EXPECT_THAT(why(whole.substr(0, whole.size() - 1)), HasSubstr("cut off"));
  EXPECT_THAT(why(whole.substr(0, whole.rfind('\n', whole.size() - 2) + 1)), HasSubstr("cut off"));
  EXPECT_THAT(why(whole.substr(0, whole.find('\n') + 1)), HasSubstr("cut off"));
  auto newer = whole;
  newer.replace(newer.find("\"version\":1"), 11, "\"version\":2");
  EXPECT_THAT(why(newer), HasSubstr("format 2"));
  EXPECT_EQ(first_of(whole + "more\n").kind, finding_kind::bundle) << "";
}

} // namespace

} // namespace runledger::replay
