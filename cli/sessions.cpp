#include "cli/objects.hpp"
#include "cli/output.hpp"
#include "cli/timeline.hpp"
#include "cli/verb.hpp"
#include "events/json_writer.hpp"

#include <fmt/format.h>

namespace runledger::cli {

namespace {

struct session_options : client_options {
  std::string session, message, key;
  std::size_t limit = 50;
  std::uint64_t since = 0;
  bool follow = false, wait = false;
};

std::string path_of(const session_options& asked) {
  return "/api/v1/sessions/" + segment(asked.session);
}

void show_session(const api& server, const http_reply& reply) {
  if (server.json())
    return print(reply.body + "\n");
  const auto document = parsed(reply.body);
  print(session_text(document.root(), system_wall_clock{}.now(), wants_colour()));
}

int list_sessions(const session_options& asked) {
  const api server{asked};
  print_list(server.json(), server.list("/api/v1/sessions", asked.limit), [](const auto& sessions) {
    const auto now = system_wall_clock{}.now();
    table rows{{"ID", "STATUS", "AGENT", "VERSION", "CREATED", "LAST ACTIVITY"}};
    for (const auto& document : sessions) {
      const auto session = document.root();
      rows.row({cell(session, "id"), cell(session, "status"), cell(session, "agent_id"),
                cell(session, "agent_version"), relative_cell(session, "created_at", now),
                relative_cell(session, "last_activity_at", now)});
    }
    return rows.empty() ? std::string{"no sessions\n"} : rows.text(wants_colour());
  });
  return exit_done;
}

int show(const session_options& asked) {
  const api server{asked};
  show_session(server, server.get(path_of(asked)));
  return exit_done;
}

/// The timeline as it is now, over as many pages as it takes.
std::vector<std::string> timeline_of(const api& server, const session_options& asked) {
  constexpr std::size_t page = 1000;
  std::vector<std::string> items;
  for (auto since = asked.since;;) {
    const auto reply =
        server.get(fmt::format("{}/events?since={}&limit={}", path_of(asked), since, page));
    const auto document = parsed(reply.body);
    for (const auto item : document.root().children()) {
      items.emplace_back(item.raw());
      const auto seq = item.find("seq");
      since =
          seq && seq->is_number() ? static_cast<std::uint64_t>(seq->integer().value_or(0)) : since;
    }
    if (document.root().size() < page)
      return items;
  }
}

int events(const session_options& asked) {
  const api server{asked};
  const bool colour = wants_colour();
  if (!asked.follow) {
    print_list(server.json(), timeline_of(server, asked), [&](const auto& items) {
      std::string text;
      for (const auto& item : items)
        text += timeline_line(item.root(), colour);
      return text;
    });
    return exit_done;
  }
  follow(server, fmt::format("{}/events?since={}", path_of(asked), asked.since),
         [&](const sse_event& event) {
           const auto item = parsed(event.data);
           print(server.json() ? event.data + "\n" : timeline_line(item.root(), colour));
           return cell(item.root(), "type") != "session_terminated";
         });
  return exit_done;
}

int message(const session_options& asked) {
  std::string body;
  json_writer{body}.begin_object().member("message", text_of(asked.message)).end_object();
  const api server{asked};
  const auto reply = server.post(path_of(asked) + "/messages", body, asked.key);
  const auto document = parsed(reply.body);
  const auto run_id = cell(document.root(), "run_id");
  if (!asked.wait) {
    print(server.json() ? reply.body + "\n" : run_id + "\n");
    return exit_done;
  }
  const auto status = follow_run(server, run_id, server.json());
  const auto run = server.get("/api/v1/runs/" + segment(run_id));
  print(server.json() ? run.body + "\n" : fmt::format("{}  {}\n", run_id, status));
  return status == "succeeded" ? exit_done : exit_no;
}

int cancel(const session_options& asked) {
  const api server{asked};
  show_session(server, server.post(path_of(asked) + "/cancel", "{}"));
  return exit_done;
}

} // namespace

void add_sessions(CLI::App& app, command& chosen) {
  auto& noun = *app.add_subcommand("sessions", "Read sessions, send messages to them, cancel them");
  noun.require_subcommand(1);

  const auto listed = std::make_shared<session_options>();
  auto& list_verb =
      add_verb(noun, chosen, "list", "List sessions, newest first", listed, list_sessions);
  list_verb.add_option("--limit", listed->limit, "At most so many")->capture_default_str();
  list_verb.footer("Example:\n  runledger sessions list --limit 10");

  const auto shown = std::make_shared<session_options>();
  auto& show_verb = add_verb(noun, chosen, "show", "Show a session with its runs", shown, show);
  show_verb.add_option("SESSION", shown->session, "The session's id")->required();
  show_verb.footer("Example:\n  runledger sessions show sess_01J9...");

  const auto told = std::make_shared<session_options>();
  auto& events_verb =
      add_verb(noun, chosen, "events", "Print the timeline of a session", told, events);
  events_verb.add_option("SESSION", told->session, "The session's id")->required();
  events_verb.add_option("--since", told->since, "Only items after this place");
  events_verb.add_flag("--follow", told->follow, "Stay until the session is terminated");
  events_verb.footer("Example:\n  runledger sessions events sess_01J9... --follow");

  const auto sent = std::make_shared<session_options>();
  auto& message_verb =
      add_verb(noun, chosen, "message", "Send a message: the session's next turn", sent, message);
  message_verb.add_option("SESSION", sent->session, "The session's id")->required();
  message_verb.add_option("TEXT", sent->message, "The message; @FILE and @- read it")->required();
  message_verb.add_option("--idempotency-key", sent->key,
                          "Repeating the call with this key sends nothing new");
  message_verb.add_flag("--wait", sent->wait,
                        "Show the turn until it has ended; exit 1 if it failed");
  message_verb.footer(
      "Example:\n  runledger sessions message sess_01J9... 'and now in French' --wait");

  const auto ended = std::make_shared<session_options>();
  auto& cancel_verb =
      add_verb(noun, chosen, "cancel", "Cancel a session: its runs drain, then it is terminated",
               ended, cancel);
  cancel_verb.add_option("SESSION", ended->session, "The session's id")->required();
  cancel_verb.footer("Example:\n  runledger sessions cancel sess_01J9...");
  noun.footer("Examples:\n"
              "  runledger sessions events sess_01J9... --follow\n"
              "  runledger sessions message sess_01J9... 'and now in French' --wait");
}

} // namespace runledger::cli
