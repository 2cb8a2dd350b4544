// SPDX-License-Identifier: Apache-2.0
//
// The functions of rules.S, and what they call.
#include "stacks.h"

extern "C" {
__attribute__((noinline)) uint64_t rules_go_on(Descent* descent) { return descend(*descent); }

uint64_t rule_cfa_by_expression(Descent*);
uint64_t rule_cfa_by_moves(Descent*);
uint64_t rule_cfa_by_arithmetic(Descent*);
uint64_t rule_cfa_by_other_register(Descent*);
uint64_t rule_return_address_in_register(Descent*);
uint64_t rule_return_address_elsewhere(Descent*);
uint64_t rule_register_in_register(Descent*);
uint64_t rule_register_is_offset(Descent*);
uint64_t rule_register_is_expression(Descent*);
uint64_t rule_register_at_expression(Descent*);
uint64_t rule_remembered_states(Descent*);
uint64_t rule_long_function(Descent*);
uint64_t rule_extended_operations(Descent*);
uint64_t rule_extended_signed_operations(Descent*);
uint64_t rule_restored_registers(Descent*);
uint64_t rule_signal_frame(Descent*);
uint64_t rule_outermost(Descent*);
void rule_fault_at_first_byte();
void rule_fault_in_prologue();
void rule_fault_at_return();
void rule_fault_in_jump();
}

namespace {

template <uint64_t kFunction(Descent*)>
__attribute__((noinline)) uint64_t rule(Descent& descent) {
  return kFunction(&descent) + 1;
}

template <void kCode()>
__attribute__((noinline)) uint64_t fault(Descent& descent) {
  return descend_in_fault(descent, kCode);
}

const Step kSteps[] = {rule<rule_cfa_by_expression>,
                       rule<rule_cfa_by_moves>,
                       rule<rule_cfa_by_arithmetic>,
                       rule<rule_cfa_by_other_register>,
                       rule<rule_return_address_elsewhere>,
                       rule<rule_register_is_expression>,
                       rule<rule_register_at_expression>,
                       rule<rule_remembered_states>,
                       rule<rule_long_function>,
                       rule<rule_extended_operations>,
                       rule<rule_extended_signed_operations>,
                       rule<rule_restored_registers>,
                       rule<rule_signal_frame>,
                       rule<rule_outermost>,
                       fault<rule_fault_at_first_byte>,
                       fault<rule_fault_in_prologue>,
                       fault<rule_fault_at_return>};

// Of the registers that hold others libunwind takes what is in them in the innermost frame, it takes the CFA for the
// stack pointer, and an offset from the CFA that is a value for a place.
const Step kMisreadSteps[] = {rule<rule_return_address_in_register>, rule<rule_register_in_register>,
                              rule<rule_register_is_offset>, fault<rule_fault_in_jump>};

}  // namespace

const Steps kMisreadRuleSteps{kMisreadSteps, sizeof kMisreadSteps / sizeof *kMisreadSteps};
const Steps kRuleSteps{kSteps, sizeof kSteps / sizeof *kSteps};
