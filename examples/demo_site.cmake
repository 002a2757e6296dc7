# Puts the demo page together in DEMO: the page's files, the source that it shows, the JavaScript package and the module, as far as
# they have been built.  MODULE is the glue and the wasm of chat_client, or empty.

file(MAKE_DIRECTORY "${DEMO}")
file(COPY "${SOURCE}/web/" DESTINATION "${DEMO}")
file(COPY "${SOURCE}/examples/chat_client.cpp" DESTINATION "${DEMO}")
if(EXISTS "${SOURCE}/bindings/js/dist")
  file(COPY "${SOURCE}/bindings/js/dist/" DESTINATION "${DEMO}/twinloop")
endif()

if(MODULE)
  file(COPY ${MODULE} DESTINATION "${DEMO}")
  find_program(NODE node)
  if(NODE)
    execute_process(COMMAND "${NODE}" "${CMAKE_CURRENT_LIST_DIR}/module_sizes.mjs" ${MODULE}
                    OUTPUT_FILE "${DEMO}/module-sizes.json" COMMAND_ERROR_IS_FATAL ANY)
  endif()
endif()
