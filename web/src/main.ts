// SPDX-License-Identifier: Apache-2.0

import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { theme } from './ui/theme.svelte';

theme.apply();
mount(App, { target: document.getElementById('app')! });
