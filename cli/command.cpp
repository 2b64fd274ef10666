#include "cli/command.hpp"

#include "cli/output.hpp"
#include "cli/settings.hpp"
#include "cli/settings_values.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sys/random.h>
#include <thread>

namespace runledger::cli {

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string first_line(const std::string& path) {
  std::ifstream in{path};
  std::string line;
  std::getline(in, line);
  return line;
}

std::string chosen_url(const client_options& options) {
  auto url = options.server.empty() ? environment("RUNLEDGER_SERVER") : options.server;
  return url.empty() ? "http://127.0.0.1:8080" : url;
}

server_address server_at(std::string_view url) {
  auto server = parse_server(url);
  if (!server)
    throw command_failure{exit_wrong, server.error()};
  return *std::move(server);
}

/// The admin key of the data folder goes to this machine only, unless the caller names the folder.
std::string chosen_key(const client_options& options, const server_address& server) {
  if (auto key = environment("RUNLEDGER_API_KEY"); !key.empty())
    return key;
  auto folder = options.data.empty() ? environment("RUNLEDGER_DATA") : options.data;
  if (options.data.empty() && !is_loopback(server.host))
    throw command_failure{exit_wrong,
                          fmt::format("no key for {}: set RUNLEDGER_API_KEY", server.url)};
  if (folder.empty())
    folder = "./runledger-data";
  const auto path = folder + "/admin.key";
  auto key = first_line(path);
  if (key.empty())
    throw command_failure{
        exit_wrong, fmt::format("no key: RUNLEDGER_API_KEY is not set and {} cannot be read. "
                                "Set the variable, or name the server's data folder with --data",
                                path)};
  return key;
}

void warn_of_plaintext(const server_address& server) {
  if (!server.tls && !is_loopback(server.host))
    fmt::print(stderr, "runledger: warning: {} has no TLS, the key travels readable\n", server.url);
}

client connected(const client_options& options) {
  auto server = server_at(chosen_url(options));
  auto key = chosen_key(options, server);
  warn_of_plaintext(server);
  return client{std::move(server), std::move(key)};
}

/// `body.recipe.harness.kind: text` for each validation error of a problem document.
std::string error_lines(const json::value& problem) {
  std::string lines;
  const auto errors = problem.find("errors");
  if (!errors || !errors->is_array())
    return lines;
  for (const auto error : errors->children()) {
    std::string place;
    if (const auto loc = error.find("loc"); loc && loc->is_array())
      for (const auto part : loc->children())
        place +=
            (place.empty() ? "" : ".") + std::string{part.is_string() ? part.string() : part.raw()};
    const auto message = error.find("msg");
    lines +=
        fmt::format("\n  {}: {}", printable(place),
                    message && message->is_string() ? printable(message->string()) : "invalid");
  }
  return lines;
}

/// The server's explanation as one sentence, with the places of a refused body below it.
std::string explanation(const http_reply& reply) {
  const auto document = json::parse(reply.body);
  if (!document || !document->root().is_object())
    return fmt::format("the server answered {} without an explanation", reply.status);
  const auto problem = document->root();
  auto detail = cell(problem, "detail");
  if (detail == "-")
    detail = cell(problem, "title");
  return fmt::format("{} ({}, {}){}", detail, reply.status, cell(problem, "code"),
                     error_lines(problem));
}

bool outcome_unknown(const http_reply& reply) {
  if (reply.status != 503)
    return false;
  const auto document = json::parse(reply.body);
  return document && cell(document->root(), "code") == "outcome_unknown";
}

/// The target of `Link: <...>; rel="next"`; empty on the last page.
std::string next_page(const http_reply& reply) {
  const auto link = reply.field("Link");
  const auto open = link.find('<'), close = link.find('>');
  if (open == std::string::npos || close == std::string::npos
      || link.find("rel=\"next\"", close) == std::string::npos)
    return {};
  auto target = link.substr(open + 1, close - open - 1);
  // An absolute address: its path and query are all that counts here.
  if (const auto scheme = target.find("://"); scheme != std::string::npos) {
    const auto path = target.find('/', scheme + 3);
    target = path == std::string::npos ? "" : target.substr(path);
  }
  return target;
}

} // namespace

void add_client_options(CLI::App& app, client_options& options) {
  app.add_option("--server", options.server,
                 "Address of the server (else RUNLEDGER_SERVER, else http://127.0.0.1:8080)");
  app.add_option(
      "--data", options.data,
      "The server's data folder, whose admin.key serves where RUNLEDGER_API_KEY is not set");
  app.add_flag("--json", options.json, "Print the API's own objects");
}

chosen_servers servers_of(const client_options& options) {
  chosen_servers out;
  for (const auto& url : split_list(chosen_url(options)))
    out.servers.push_back(server_at(url));
  if (out.servers.empty())
    throw command_failure{exit_wrong, "--server: an address is missing"};
  for (const auto& each : out.servers) {
    out.key = chosen_key(options, each);
    warn_of_plaintext(each);
  }
  return out;
}

api::api(client_options options) : options_(std::move(options)), connection_(connected(options_)) {}

void api::refuse(const http_reply& reply) const {
  if (options_.json && !reply.body.empty())
    print(reply.body + "\n");
  auto message = explanation(reply);
  if (reply.status == 401)
    message +=
        "\nThe key comes from RUNLEDGER_API_KEY, else from admin.key in the data folder (--data)";
  throw command_failure{exit_wrong, std::move(message)};
}

http_reply api::answered(const http_call& call) const {
  auto reply = connection_.send(call);
  if (!reply)
    throw command_failure{exit_wrong, reply.error().message};
  if (!reply->ok())
    refuse(*reply);
  return *std::move(reply);
}

http_reply api::get(const std::string& target) const {
  http_call call;
  call.target = target;
  return answered(call);
}

http_reply api::post(const std::string& target, const std::string& body,
                     std::string idempotency_key) const {
  http_call call;
  call.method = "POST";
  call.target = target;
  call.body = body;
  call.fields.emplace_back("Idempotency-Key",
                           idempotency_key.empty() ? random_key() : std::move(idempotency_key));
  constexpr int attempts = 4;
  for (int attempt = 1;; ++attempt) {
    const auto reply = connection_.send(call);
    const bool unknown = reply ? outcome_unknown(*reply) : reply.error().kind == trouble::lost;
    if (!unknown || attempt == attempts) {
      if (!reply)
        throw command_failure{exit_wrong, reply.error().message};
      if (!reply->ok())
        refuse(*reply);
      return *reply;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{200} * attempt);
  }
}

http_reply api::post_once(const std::string& target, const std::string& body) const {
  http_call call;
  call.method = "POST";
  call.target = target;
  call.body = body;
  return answered(call);
}

http_reply api::patch(const std::string& target, const std::string& body) const {
  http_call call;
  call.method = "PATCH";
  call.target = target;
  call.body = body;
  return answered(call);
}

void api::remove(const std::string& target) const {
  http_call call;
  call.method = "DELETE";
  call.target = target;
  answered(call);
}

std::vector<std::string> api::list(const std::string& target, std::size_t limit) const {
  std::vector<std::string> elements;
  const char joint = target.find('?') == std::string::npos ? '?' : '&';
  auto page = fmt::format("{}{}limit={}", target, joint, std::min<std::size_t>(limit, 200));
  while (!page.empty() && elements.size() < limit) {
    const auto reply = get(page);
    const auto document = parsed(reply.body);
    for (const auto element : document.root().children())
      if (elements.size() < limit)
        elements.emplace_back(element.raw());
    page = next_page(reply);
  }
  return elements;
}

json::document parsed(std::string_view body) {
  auto document = json::parse(body);
  if (!document)
    throw command_failure{exit_wrong, "the server's answer is no JSON: is it a Runledger server?"};
  return *std::move(document);
}

std::string segment(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '~';
    out += plain ? std::string{c} : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string query(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string out;
  for (const auto& [name, value] : pairs)
    if (!value.empty())
      out += fmt::format("{}{}={}", out.empty() ? '?' : '&', name, segment(value));
  return out;
}

std::string file_text(const std::string& path) {
  if (path == "-")
    return {std::istreambuf_iterator<char>{std::cin}, {}};
  std::ifstream in{path, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (!in || in.bad())
    throw command_failure{exit_wrong, fmt::format("{}: cannot be read", path)};
  return text;
}

std::string text_of(const std::string& argument) {
  return argument.starts_with('@') ? file_text(argument.substr(1)) : argument;
}

std::string random_key() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    throw command_failure{exit_wrong, "the system gives no random numbers"};
  std::string key;
  for (const auto byte : bytes)
    key += fmt::format("{:02x}", byte);
  return key;
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void print_list(bool json, const std::vector<std::string>& elements,
                const std::function<std::string(const std::vector<json::document>&)>& human) {
  if (json) {
    print(fmt::format("[{}]\n", fmt::join(elements, ",\n ")));
    return;
  }
  std::vector<json::document> documents;
  for (const auto& element : elements)
    documents.push_back(parsed(element));
  print(human(documents));
}

} // namespace runledger::cli
