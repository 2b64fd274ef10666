// Goal: the pure cores of agents and of the other small entities keep their promises, and every
// fact survives its way into the ledger and back.

#include "tests/support/builders.hpp"

#include <gtest/gtest.h>

namespace runledger::agent {

namespace {

using test::dice;

const workspace_id home{"default"};

agent::command_body any_command(dice& d) {
  auto version = d.between(0, 4);
  switch (d.below(6)) {
    case 0:
      return agent::create{"slug", "Title", {}, {d.coin() ? "{}" : "", {}}, "k", sha256("k")};
    case 1: {
      auto n = std::to_string(d.below(3));
      return agent::create_version{command_id{"cmd_" + n}, {"{}", {}}, "k" + n, sha256(n)};
    }
    case 2:
      return agent::change_draft{version, {"{\"n\":" + std::to_string(d.below(3)) + "}", {}}};
    case 3:
    case 4:
      return agent::activate{version};
    default:
      return agent::archive{version};
  }
}

TEST(AgentProperties, FactsFitPhasesGoForwardAndRetriesRecordNothing) {
  test::for_each_seed(1, 3000, [](std::uint64_t seed) {
    dice d{seed};
    agent::state s;
    for (int i = 0; i < 25; ++i) {
      auto asked = any_command(d);
      auto before = s;
      auto decided = agent::decide(s, {from_ms(1000), home, asked});
      if (!decided)
        continue;
      for (const auto& fact : decided->facts) {
        ASSERT_TRUE(agent::fits(s, fact));
        s = agent::evolve(std::move(s), fact, from_ms(1000), home);
      }
      for (std::size_t v = 0; v < before.versions.size(); ++v) {
        ASSERT_GE(s.versions[v].at, before.versions[v].at);
        if (before.versions[v].at != agent::version_phase::draft) {
          ASSERT_EQ(s.versions[v].recipe, before.versions[v].recipe); // Immutable.
        }
      }
      auto again = agent::decide(s, {from_ms(1000), home, asked});
      ASSERT_TRUE(!again || again->facts.empty()); // A change of phase is refused the second time.
    }
  });
}

// A name has one owner at a time; only a ghost loses it.
TEST(NamesProperties, OnlyAGhostLosesItsName) {
  test::for_each_seed(1, 3000, [](std::uint64_t seed) {
    dice d{seed};
    names::state s;
    for (int i = 0; i < 20; ++i) {
      names::claim ask{
          "agent", "n" + std::to_string(d.below(2)), "ag_" + std::to_string(d.below(3)), {}};
      if (d.coin())
        ask.ghost = "ag_" + std::to_string(d.below(3));
      const auto* owner = names::owner_of(s, ask.kind, ask.text);
      auto before = owner != nullptr ? *owner : std::string{};
      auto decided = names::decide(s, ask);
      ASSERT_EQ(decided.has_value(), before.empty() || before == ask.owner || before == ask.ghost);
      if (!decided)
        continue;
      for (const auto& fact : decided->facts)
        s = names::evolve(std::move(s), fact);
      ASSERT_EQ(*names::owner_of(s, ask.kind, ask.text), ask.owner);
      ASSERT_TRUE(names::decide(s, ask)->facts.empty());
    }
  });
}

TEST(CodecProperties, EveryFactComesBackAsItWas) {
  test::for_each_seed(1, 500, [](std::uint64_t seed) {
    dice d{seed};
    test::for_each_fact_of_all([&]<class Event, class Fact>(std::type_identity<Event>, Fact fact) {
      test::random_filler fill{d};
      Fact::fields(fact, fill);
      Event event{fact};
      auto written = encode(event);
      ASSERT_TRUE(json::parse(written.data)) << written.data;
      envelope e;
      e.type = written.type;
      e.data = written.data;
      auto read = decode<Event>(e);
      ASSERT_TRUE(read) << written.data;
      ASSERT_EQ(std::get<Fact>(*read), fact) << written.data;
      ASSERT_EQ(encode(*read).data, written.data);
    });
  });
}

// What is cut, or of another type, is told apart and never taken for the fact.
TEST(CodecProperties, DamageIsNoticed) {
  dice d{1};
  test::for_each_fact_of_all([&]<class Event, class Fact>(std::type_identity<Event>, Fact fact) {
    test::sample_filler fill;
    Fact::fields(fact, fill);
    auto written = encode(Event{fact});
    envelope e;
    e.type = written.type;
    for (std::size_t cut = 0; cut < written.data.size(); ++cut) {
      e.data = written.data.substr(0, cut);
      ASSERT_FALSE(decode<Event>(e)) << e.data;
    }
    e.data = written.data;
    e.type = full_type(Fact::name, 2);
    auto newer = decode<Event>(e);
    ASSERT_TRUE(!newer && newer.error() == decode_errc::unknown_type);
  });
}

} // namespace

} // namespace runledger::agent
