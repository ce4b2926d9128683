{
  # For node-gyp; the build itself is CMake's. npm does not run it ("gypfile" in package.json).
  "targets": [
    {
      "target_name": "fused-lora",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["build/Release/fused-lora.node"],
          "action": ["node", "scripts/cmake-build.mjs"]
        }
      ]
    }
  ]
}
