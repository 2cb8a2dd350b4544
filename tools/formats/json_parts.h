// SPDX-License-Identifier: Apache-2.0
// What the JSON formats share: numbers with their intervals, frames, sites, processes, coverage. What each key means
// stands in json_report.cpp. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "leaks/profile.h"

namespace seep {

// Under `name`, and an estimate's interval under `name` + "_interval"; null where it is not known.
void put(nlohmann::ordered_json& object, const std::string& name, const Measure& measure, bool is_known = true);
void put(nlohmann::ordered_json& object, const std::string& name, const Change& change);
// Under `name` + "_bytes" and "_blocks"; null where it is not known.
void put(nlohmann::ordered_json& object, const std::string& name, const BlocksAndBytes& sum, bool is_known = true);
// Under the names that reports have for them.
void put(nlohmann::ordered_json& object, const Growth& growth, bool has_growth);
void put(nlohmann::ordered_json& object, const Activity& activity);
void put(nlohmann::ordered_json& object, const Judgement& judgement);

nlohmann::ordered_json process_json(const ProcessSummary& process);
nlohmann::ordered_json frames_json(const Stack& stack, size_t runtime_frames);
nlohmann::ordered_json freed_by_json(const std::optional<FreedFrom>& freed);
nlohmann::ordered_json site_json(const Site& site, bool has_growth);
nlohmann::ordered_json coverage_json(const Coverage& coverage);

// As text, in lines of so much more indentation each level; -1: on one line. A path or a name may hold any bytes; JSON
// may not.
std::string dumped(const nlohmann::ordered_json& object, int indent);

}  // namespace seep
